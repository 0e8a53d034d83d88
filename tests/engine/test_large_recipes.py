"""Every recipe for CIFAR-10 and ImageNet, carried out on a handful of pictures: it trains, is stopped, goes on,
prunes, quantizes, and writes a file that holds what it promises."""

from __future__ import annotations

import json

import pytest
import torch
from tests.data.pictures import write_pictures

from tighten.allocation import Budget
from tighten.data import ImageData, TensorData
from tighten.engine import Listener, run
from tighten.imports import call_named
from tighten.recipes import load, parse
from tighten.verify import verify

FAST = {"resnet20-cifar10-joint"}
LARGE = [
    "alexnet-imagenet",
    "mobilenetv2-cifar10",
    "mobilenetv2-imagenet",
    "resnet18-cifar10",
    "resnet18-imagenet",
    "resnet20-cifar10",
    "resnet20-cifar10-joint",
    "resnet20-cifar10-ternary",
    "resnet50-imagenet",
    "resnet50-imagenet-binary",
    "vgg16-cifar10",
    "vgg16-cifar10-binary",
    "vgg16-imagenet",
]
QUANTIZE = """
[[stages]]
name = "freeze"
epochs = 1
learning_rate = 1e-4
method = { name = "Freeze", passes = 4 }
sets = { SITES = { name = "Uniform", bits = 4, zero = false } }
"""


class Stop(Exception):
    """A run that is stopped from outside."""


class StopAfter(Listener):
    """Stops the run after so many epochs of its stages."""

    def __init__(self, epochs: int) -> None:
        self.left = epochs

    def epoch(self, epoch: object) -> None:
        if getattr(epoch, "stage", "dense") != "dense":
            self.left -= 1
            if self.left == 0:
                raise Stop


def tiny(root, *, validation=8, download=False, seed=0, normalize=""):
    """Noise in the shape of CIFAR-10."""
    made = torch.Generator().manual_seed(3)
    parts = [TensorData(torch.randn(n, 3, 32, 32, generator=made), torch.arange(n) % 10) for n in (24, 10, 20)]
    return ImageData(*parts, classes=10, fill=0.0)


def small(name: str) -> str:
    """The recipe for eight steps an epoch, quantized at its end, on small pictures."""
    text = load(name)[1]
    for line in text.splitlines():
        if line.startswith(("validation", "batch_size")):
            text = text.replace(line, f"{line.split()[0]} = {8 if line[0] == 'v' else 3}")
    size = 64 if name.startswith("alexnet") else 32
    text = text.replace('imagefolder"\n', f'imagefolder"\ndata_settings = {{ size = {size}, workers = 0 }}\n')
    if "Freeze" not in text:
        sites = '"tighten.sites:full_weights"' if "full_weights" in text else '"*"'
        text += QUANTIZE.replace("SITES", sites)
    return text


@pytest.mark.parametrize("name", [pytest.param(n, marks=[] if n in FAST else [pytest.mark.slow]) for n in LARGE])
def test_a_recipe_from_its_first_step_to_a_file_that_holds(name, tmp_path, monkeypatch):
    monkeypatch.setattr("tighten.data.cifar10", tiny)
    root = write_pictures(tmp_path / "pictures") if name.endswith(("imagenet", "imagenet-binary")) else tmp_path
    text = small(name)
    recipe = parse(text, name)
    torch.manual_seed(0)
    torch.save(call_named(recipe.model, "model").state_dict(), tmp_path / "net.pt")
    settings = {"root": root, "weights": tmp_path / "net.pt", "effort": 0.01}
    out = tmp_path / "run"
    with pytest.raises(Stop):
        run(recipe, text, out, **settings, listener=StopAfter(2))
    result = run(recipe, text, out, **settings, resume=True)
    assert json.loads((out / "result.json").read_text())["partial"]
    assert result.epochs == len(recipe.stages)
    found = verify(result.file, root=root, model=recipe.model)
    assert found.holds, [check for check in found.checks if not check.holds]
    budgets = [stage.budget.rate for stage in recipe.stages if stage.budget is not None]
    if budgets:
        # Folding may take a few more.
        assert result.report.kept <= Budget(rate=budgets[-1]).count(result.report.weights)
        assert result.report.kept > 0.9 * Budget(rate=budgets[-1]).count(result.report.weights)
    assert all(site.levels is not None for site in result.report.sites)
