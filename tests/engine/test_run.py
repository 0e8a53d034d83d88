"""Runs in one process: interrupted anywhere, they end with the same bytes; the dense network is trained once."""

import pytest
import torch

from tighten.engine import Listener, run
from tighten.errors import RunError
from tighten.recipes import parse

RECIPE = """
name = "tiny"
model = "tighten.zoo:DigitsNet"
data = "tighten.data:digits"
validation = 200
batch_size = 64
augment = [{ name = "Shift", pixels = 1, per = "sample" }]
[dense]
epochs = 3
learning_rate = 2e-3
[[stages]]
epochs = 2
learning_rate = 2e-3
method = { name = "Admm", rho = 1e-2, rho_end = 1e-1, commit = false }
sets = { "*" = { name = "Ternary" } }
distill = { weight = 0.5 }
[[stages]]
epochs = 3
learning_rate = 2e-3
augment = false
method = { name = "Freeze", passes = 3 }
sets = { "*" = { name = "Ternary" } }
"""


class Stop(Listener):
    """Raises at the end of the n-th epoch of a stage, as a kill would come; notes what it hears."""

    def __init__(self, stage=None, number=None):
        self.at = (stage, number)
        self.notes, self.epochs = [], []

    def epoch(self, epoch):
        self.epochs.append((epoch.stage, epoch.epoch))
        if (epoch.stage, epoch.epoch) == self.at:
            raise KeyboardInterrupt

    def note(self, text):
        self.notes.append(text)


def carry_out(folder, listener=None, **options):
    torch.set_num_threads(1)
    return run(parse(RECIPE, "test"), RECIPE, folder, listener=listener or Listener(), **options)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole") / "run"
    return carry_out(folder), folder


@pytest.mark.parametrize(("stage", "number"), [("dense", 1), ("dense", 3), ("admm", 1), ("admm", 2), ("freeze", 2)])
def test_interrupted_runs_end_with_the_same_bytes(whole, tmp_path, stage, number):
    with pytest.raises(KeyboardInterrupt):
        carry_out(tmp_path / "run", Stop(stage, number))
    listener = Stop()
    result = carry_out(tmp_path / "run", listener, resume=True)
    assert result.file.read_bytes() == whole[0].file.read_bytes()
    # At most the epoch at whose end it was stopped is done again.
    repeated = [e for e in listener.epochs if e[0] == stage and e[1] < number]
    assert not repeated


def test_the_dense_network_is_trained_once(whole, tmp_path):
    _, folder = whole
    listener = Stop()
    again = carry_out(folder.parent / "again", listener)
    assert "dense" not in {stage for stage, _ in listener.epochs}
    assert "taken from" in listener.notes[0]
    assert again.file.read_bytes() == whole[0].file.read_bytes()
    other_seed = Stop()
    carry_out(folder.parent / "other", other_seed, seed=1)
    assert "dense" in {stage for stage, _ in other_seed.epochs}


def test_a_finished_run_can_be_resumed_without_work(whole):
    _, folder = whole
    listener = Stop()
    result = carry_out(folder, listener, resume=True)
    assert not listener.epochs
    assert result.accuracy == whole[0].accuracy


def test_every_weight_is_one_of_three(whole):
    result, _ = whole
    assert {site.levels for site in result.report.sites} <= {2, 3}
    assert result.accuracy > 50  # a handful of epochs: far above chance is enough here


def test_damaged_checkpoints_are_told(whole, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        carry_out(tmp_path / "run", Stop("freeze", 1))
    last, before = tmp_path / "run" / "checkpoint.pt", tmp_path / "run" / "checkpoint.before.pt"
    # One bit of a tensor, which PyTorch itself reads over.
    data = bytearray(last.read_bytes())
    data[len(data) // 2] ^= 1
    last.write_bytes(data)
    kept = before.read_bytes()
    listener = Stop()
    result = carry_out(tmp_path / "run", listener, resume=True)
    assert any("damaged" in note for note in listener.notes)
    assert ("freeze", 1) in listener.epochs, "the one before it was taken before that epoch"
    assert result.file.read_bytes() == whole[0].file.read_bytes()
    last.write_bytes(data[: len(data) // 2])
    before.write_bytes(b"nothing of the kind")
    with pytest.raises(RunError, match=r"checkpoint\.pt' cannot be read"):
        carry_out(tmp_path / "run", resume=True)
    last.unlink()
    before.write_bytes(kept)
    listener = Stop()
    assert carry_out(tmp_path / "run", listener, resume=True).file.read_bytes() == whole[0].file.read_bytes()
    assert ("freeze", 1) in listener.epochs
