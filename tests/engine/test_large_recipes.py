"""Every recipe for CIFAR-10 and ImageNet, carried out on a handful of pictures: it trains, is stopped, goes on,
prunes, quantizes, and writes a file that holds what it promises. A small network with all kinds of layers does the
same in seconds."""

from __future__ import annotations

import json

import pytest
import torch
from tests.data.pictures import write_pictures
from torch import nn

from tighten.allocation import Budget
from tighten.data import ImageData, TensorData
from tighten.engine import Listener, run
from tighten.errors import RecipeError, RunError
from tighten.imports import call_named
from tighten.recipes import load, parse
from tighten.verify import verify

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
name = "levels"
epochs = 1
learning_rate = 1e-4
method = { name = "StraightThrough" }
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
    if "StraightThrough" not in text:
        sites = '"tighten.sites:full_weights"' if "full_weights" in text else '"*"'
        text += QUANTIZE.replace("SITES", sites)
    return text


@pytest.mark.slow
@pytest.mark.parametrize("name", LARGE)
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
        run(recipe, text, out, **settings, listener=StopAfter(min(2, len(recipe.stages))))
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


class Kinds(nn.Module):
    """A depthwise, a grouped, a strided and a 1 by 1 convolution, with a residual branch."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, stride=2, padding=1, bias=False)
        self.expand = nn.Conv2d(8, 16, 1, bias=False)
        self.depthwise = nn.Conv2d(16, 16, 3, padding=1, groups=16, bias=False)
        self.grouped = nn.Conv2d(16, 8, 3, padding=1, groups=2, bias=False)
        self.norms = nn.ModuleList(nn.BatchNorm2d(n) for n in (8, 16, 16, 8))
        self.last = nn.Linear(8, 4)

    def forward(self, x):
        x = self.norms[0](self.stem(x)).relu()
        y = self.norms[1](self.expand(x)).relu()
        y = self.norms[2](self.depthwise(y)).relu()
        return self.last((x + self.norms[3](self.grouped(y))).mean(dim=(2, 3)))


KINDS = """
name = "kinds"
model = "tests.engine.test_large_recipes:Kinds"
data = "tighten.data:imagefolder"
data_settings = { size = 16, workers = 0 }
validation = 8
batch_size = 4
optimizer = "torch.optim:AdamW"
optimizer_settings = { weight_decay = 0.05 }
[dense]
epochs = 10
learning_rate = 2e-3
[[stages]]
name = "admm"
epochs = 10
learning_rate = 1e-3
method = { name = "Admm", rho = 1e-2, rho_end = 0.5 }
budget = { rate = 4 }
sets = { "tighten.sites:full_weights" = { name = "Sparse" } }
[[stages]]
name = "binary"
epochs = 20
learning_rate = 1e-3
method = { name = "Freeze", passes = 2 }
sets = { "*" = { name = "Binary", per_channel = true } }
"""


def test_all_kinds_of_layers_with_little_effort(tmp_path):
    root = write_pictures(tmp_path / "pictures")
    recipe = parse(KINDS, "kinds")
    whole = run(recipe, KINDS, tmp_path / "whole", root=root, effort=0.1)
    with pytest.raises(Stop):
        run(recipe, KINDS, tmp_path / "run", root=root, effort=0.1, listener=StopAfter(2))
    result = run(recipe, KINDS, tmp_path / "run", root=root, effort=0.1, resume=True)
    assert result.file.read_bytes() == whole.file.read_bytes()
    facts = json.loads((tmp_path / "run" / "result.json").read_text())
    assert (facts["effort"], facts["partial"], facts["epochs"], facts["dense_epochs"]) == (0.1, True, 3, 1)
    assert "PARTIAL RESULT: 0.1 of the recipe" in (tmp_path / "run" / "report.html").read_text()
    sites = {site.name: site for site in result.report.sites}
    # Nothing is pruned of a depthwise layer, and every output channel has a scale.
    assert sites["depthwise.weight"].kept == sites["depthwise.weight"].weights == 144
    assert {name: site.scales for name, site in sites.items()} == {
        "stem.weight": 8, "expand.weight": 16, "depthwise.weight": 16, "grouped.weight": 8, "last.weight": 4
    }  # fmt: skip
    assert verify(result.file, root=root, model=recipe.model).holds


def test_another_effort_is_another_run(tmp_path):
    root = write_pictures(tmp_path / "pictures")
    recipe = parse(KINDS, "kinds")
    with pytest.raises(Stop):
        run(recipe, KINDS, tmp_path / "run", root=root, effort=0.1, listener=StopAfter(1))
    with pytest.raises(RunError, match="belongs to another recipe"):
        run(recipe, KINDS, tmp_path / "run", root=root, effort=0.2, resume=True)


def test_no_effort_is_refused(tmp_path):
    with pytest.raises(RecipeError, match="an effort of 0 trains nothing"):
        run(parse(KINDS, "kinds"), KINDS, tmp_path / "run", effort=0)
