"""Recipes for somebody's own model: they say what was found, and run as they are."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn
from typer.testing import CliRunner

import tighten as tt
from tighten import engine, recipes
from tighten.cli.app import app
from tighten.starting import look, write

MODEL = """
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 8, 3, 4), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten())
        self.unused = nn.Linear(20, 30)
        self.frozen = nn.Linear(8 * 64, 16)
        self.frozen.weight.requires_grad_(False)
        self.head = nn.Linear(16, 5)

    def forward(self, x):
        return self.head(self.frozen(self.body(x)))
"""


class Pictures(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Conv2d(1, 4, 5), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 24 * 24, 10))


def test_shapes_are_found_by_trying():
    found = look(Pictures())
    assert (found.input_shape, found.classes) == ((1, 28, 28), 10)
    assert look(nn.Linear(40, 3)).input_shape == (40,)
    assert look(nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 3))).input_shape == (3072,)


def test_what_is_left_alone_is_said_with_the_reason(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "odd_net.py").write_text(MODEL)
    from odd_net import Net  # type: ignore[import-not-found]

    net = Net()
    net.train()
    found = look(net)
    assert net.training
    assert [layer.name for layer in found.chosen] == ["body.0.weight", "head.weight"]
    reasons = {layer.name: layer.skipped for layer in found.skipped}
    assert "requires_grad" in reasons["frozen.weight"]
    assert "do not depend" in reasons["unused.weight"]
    assert "bias" in reasons["body.1.weight"]


@pytest.mark.parametrize(
    ("model", "shape", "says"),
    [
        (nn.Embedding(5, 8), None, "--input"),
        (Pictures(), (1, 30, 30), "does not run on 1x30x30"),
        (nn.Sequential(nn.Conv2d(1, 4, 3)), None, "row of scores"),
        (nn.Sequential(nn.Linear(4, 4)), None, "no weight"),
    ],
)
def test_models_that_cannot_be_are_told(model, shape, says):
    with pytest.raises(tt.PlanError, match=says):
        look(model, shape)


def test_what_is_there_is_never_overwritten(tmp_path):
    write(look(Pictures()), "a.nets:Pictures", tmp_path)
    before = (tmp_path / "nets.toml").read_text()
    with pytest.raises(tt.RunError, match="there already"):
        write(look(Pictures()), "a.nets:Pictures", tmp_path)
    assert (tmp_path / "nets.toml").read_text() == before


def test_given_data_and_weights_are_named(tmp_path):
    written = write(look(Pictures()), "nets:Pictures", tmp_path, data="tighten.data:mnist", weights="w.pt", rate=5)
    recipe = recipes.load(str(written.recipe))[0]
    assert written.data is None
    assert recipe.dense.weights == "w.pt"
    assert [str(stage) for stage in recipe.plan()] == ["prune 5x", "retrain 5x", "quantize", "freeze"]


def test_the_recipe_runs_as_it_is(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "own_net.py").write_text(MODEL)
    done = CliRunner().invoke(app, ["init", "own_net:Net", "--rate", "3"])
    assert done.exit_code == 0, done.output
    assert "frozen.weight: frozen" in done.output
    recipe, text = recipes.load("own_net.toml")
    short = recipe.model_copy(
        update={
            "stages": [s.model_copy(update={"epochs": 1}) for s in recipe.stages],
            "dense": recipe.dense.model_copy(update={"epochs": 1}),
        }
    )
    result = engine.run(short, text, tmp_path / "run")
    kept = {site.name: site for site in result.report.sites}
    assert set(kept) == {"body.0.weight", "head.weight"}
    assert result.report.rate >= 3
    assert all(site.levels <= 16 for site in kept.values())
    frozen = tt.Artifact.open(result.file).rest["frozen.weight"]
    assert torch.isfinite(frozen).all()


def test_the_program_finds_modules_of_the_working_folder(tmp_path):
    (tmp_path / "near_net.py").write_text(MODEL)
    program = Path(sys.executable).with_name("tighten")
    if not program.exists():
        pytest.skip("the console script is not installed")
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run([str(program), "init", "near_net:Net"], cwd=tmp_path, env=environment, capture_output=True,
                          text=True, check=False, timeout=120)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "near_net.toml").exists()
