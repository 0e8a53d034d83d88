"""The examples do what they say, for an epoch of each part."""

import runpy
import sys
import warnings
from pathlib import Path

import pytest
import torch
from accelerate import Accelerator

import tighten as tt

EXAMPLES = Path(__file__).parents[2] / "examples"
NEEDS = {"lightning_trainer": "lightning", "fabric_loop": "lightning", "transformers_trainer": "transformers"}


@pytest.fixture(autouse=True)
def _fresh_state():
    """Accelerators of one process share their state."""
    Accelerator(cpu=True).state._reset_state(reset_partial_state=True)


def run(name, monkeypatch, capsys, *arguments):
    """What an example prints."""
    if name in NEEDS and not any((Path(path) / NEEDS[name]).is_dir() for path in sys.path):
        pytest.skip(f"needs the package {NEEDS[name]}")
    monkeypatch.setattr(sys, "argv", [f"{name}.py", *map(str, arguments)])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        runpy.run_path(str(EXAMPLES / f"{name}.py"), run_name="__main__")
    return capsys.readouterr().out


RATES = {"transformers_trainer": 3, "gated_search": 1.5}
MORE = {"gated_search": ("--drop", 30)}
QUICK = "plain_loop"
NAMES = sorted(path.stem for path in EXAMPLES.glob("*.py"))


@pytest.mark.parametrize("name", [n if n == QUICK else pytest.param(n, marks=pytest.mark.slow) for n in NAMES])
def test_an_example_writes_a_small_network(name, monkeypatch, capsys, tmp_path):
    out = tmp_path / "net.tight"
    printed = run(name, monkeypatch, capsys, "--epochs", 1, "--out", out, *MORE.get(name, ()))
    assert "dense: " in printed
    artifact = tt.Artifact.open(out)
    weights = {n: t for n, t in artifact.state_dict().items() if n in artifact.codes}
    dense = sum(w.numel() for w in weights.values())
    kept = sum(int((w != 0).sum()) for w in weights.values())
    assert kept <= dense / RATES.get(name, 15)
    assert f"{out.stat().st_size:,} bytes on disk" in printed


@pytest.mark.slow
def test_the_accelerate_example_goes_on_from_its_state(monkeypatch, capsys, tmp_path):
    """Stopped in its second stage by an error, and started again."""
    arguments = ("--epochs", 1, "--out", tmp_path / "net.tight", "--state", tmp_path / "state")
    saved, whole = [], Accelerator.save_state

    def save_and_stop(accelerator, folder):
        whole(accelerator, folder)
        saved.append(folder)
        if len(saved) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(Accelerator, "save_state", save_and_stop)
    with pytest.raises(KeyboardInterrupt):
        run("accelerate_loop", monkeypatch, capsys, *arguments)
    assert not (tmp_path / "net.tight").exists()
    capsys.readouterr()
    torch.manual_seed(99)
    Accelerator(cpu=True).state._reset_state(reset_partial_state=True)
    printed = run("accelerate_loop", monkeypatch, capsys, *arguments)
    assert "dense: " not in printed
    assert tt.Artifact.open(tmp_path / "net.tight").codes
