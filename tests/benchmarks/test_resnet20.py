"""The ResNet-20 comparison on a data set small enough to watch: same weights kept, files that verify, rows kept."""

import importlib.util
import itertools
import json
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from tighten.allocation import Budget
from tighten.data import ImageData, TensorData
from tighten.recipes import parse
from tighten.verify import verify

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "resnet20.py"
WEIGHTS = 268_336


@pytest.fixture(scope="module")
def script():
    sys.path.insert(0, str(SCRIPT.parent))
    spec = importlib.util.spec_from_file_location("resnet20_benchmark", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def tiny(root: Path | None, *, validation: int = 8, download: bool = False, seed: int = 0, normalize: str = "none"):
    """Noise in the shape of CIFAR-10; refuses to be normalised as nobody asked."""
    assert normalize == "imagenet"
    made = torch.Generator().manual_seed(3)
    parts = [TensorData(torch.randn(n, 3, 32, 32, generator=made), torch.arange(n) % 10) for n in (24, 10, 20)]
    return ImageData(*parts, classes=10, fill=0.0)


def layers_of(model):
    return {name: m for name, m in model.named_children() if isinstance(m, nn.Conv2d | nn.Linear)}


def test_pruning_is_global_and_goes_by_what_was_trained_last(script):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.Conv2d(3, 2, 3), nn.Linear(5, 4))
    model.to(memory_format=torch.channels_last)
    layers, alive = layers_of(model), {}
    for kept in (90, 40, 7):
        # As after an optimizer step: the trained tensors have moved, the masked ones beside them have not.
        trained = {name: getattr(m, "weight_orig", m.weight) for name, m in layers.items()}
        for weight in trained.values():
            nn.init.normal_(weight)
        sizes = {name: w.detach().abs() * alive.get(name, 1) for name, w in trained.items()}
        least = torch.cat([size.flatten() for size in sizes.values()]).sort(descending=True).values[kept - 1]
        script.prune_to(model, kept)
        alive = {name: m.weight_mask for name, m in layers.items()}
        for name, size in sizes.items():
            assert torch.equal(alive[name].bool(), size >= least)
    assert model[0].weight_orig.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("rate", [5.0, 10.0, 7.3])
def test_the_last_pruning_leaves_what_the_budget_leaves(script, rate):
    kept = [script.kept_after(step, 5, WEIGHTS, rate) for step in range(6)]
    assert kept[0] == WEIGHTS
    assert kept[5] == Budget(rate=rate).count(WEIGHTS)
    ratios = [after / before for before, after in itertools.pairwise(kept)]
    assert max(ratios) - min(ratios) < 1e-3


def test_the_recipe_at_another_rate_and_length(script):
    recipe = parse(script.text_of("pruned", 12.5, 16), "it")
    assert [(s.epochs, s.budget and s.budget.rate) for s in recipe.stages] == [(16, 12.5)]
    shipped = parse(script.text_of("pruned", 5, 8), "it")
    assert [(s.epochs, s.budget and s.budget.rate) for s in shipped.stages] == [(8, 5.0)]


class Small(nn.Module):
    """Stands in for ResNet-20."""

    def __init__(self):
        super().__init__()
        self.layer1 = nn.Sequential(nn.Conv2d(3, 8, 3, stride=4))
        self.bn = nn.BatchNorm2d(8)
        self.linear = nn.Linear(8, 10)

    def forward(self, x):
        return self.linear(self.bn(self.layer1(x)).relu().mean(dim=(2, 3)))


SMALL = 8 * 27 + 80


@pytest.fixture
def arguments(monkeypatch, tmp_path):
    """Those of the script, for small data and a small network."""
    monkeypatch.setattr("tighten.data.cifar10", tiny)
    monkeypatch.setattr("tighten.zoo.ResNet20", Small)
    torch.manual_seed(1)
    torch.save(Small().state_dict(), tmp_path / "net.pt")
    paths = ["--data", tmp_path, "--weights", tmp_path / "net.pt", "--runs", tmp_path / "runs"]
    return [
        *map(str, paths),
        "--results",
        str(tmp_path / "results"),
        "--rates",
        "4",
        "--epochs",
        "5",
        "--rows",
        "pruned",
    ]


def test_rows_are_equal_but_for_the_method(script, monkeypatch, tmp_path, capsys, arguments):
    script.main([*arguments, "--labels-only"])
    names = [f"{method}-4x-seed0" for method in script.METHODS]
    rows = {}
    for name in names:
        file = tmp_path / "results" / f"{name}.tight"
        rows[name] = json.loads(file.with_suffix(".json").read_text())
        kept = rows[name]["report"]["kept"]
        # Ours folds away what leads nowhere.
        assert kept <= SMALL // 4 if name.startswith("tighten") else kept == SMALL // 4
        assert rows[name]["report"]["sizes"]["total"] == file.stat().st_size
        found = verify(file, root=tmp_path)
        assert found.holds, found.checks
        (claim,) = [check for check in found.checks if check.what == "test accuracy"]
        assert claim.promised == f"{rows[name]['accuracy']:.2f} %"
    ours, theirs, labels, proximal = (rows[name] for name in names)
    assert set(theirs) == set(proximal) <= set(ours)
    assert len({row["dense_accuracy"] for row in rows.values()}) == 1
    # Learning from labels alone ends elsewhere: the flag reaches the loss.
    assert theirs["history"][0]["loss"] != labels["history"][0]["loss"]
    printed = capsys.readouterr().out
    assert printed.count("| 4x |") == 4

    def fail(*args, **settings):
        raise AssertionError("a finished row was carried out again")

    monkeypatch.setattr(script, "rival", fail)
    monkeypatch.setattr(script, "run", fail)
    script.main([*arguments, "--only", "tighten"])
    text = (tmp_path / "results" / "README.md").read_text()
    assert text.startswith("# ResNet-20 on CIFAR-10\n")
    assert text.count("| row |") == 1
    assert text.count("| 4x |") == 4


@pytest.mark.parametrize("epoch", [1, 4])
def test_a_stopped_row_goes_on_and_ends_with_the_same_bytes(script, monkeypatch, tmp_path, arguments, epoch):
    arguments += ["--only", "rival"]
    script.main(arguments)
    file = tmp_path / "results" / "magnitude-4x-seed0.tight"
    whole = file.read_bytes()
    arguments[arguments.index("--runs") + 1] = str(tmp_path / "again")
    with monkeypatch.context() as patch:
        patch.setattr(script.Progress, "epoch", lambda self, e: stop() if e.epoch == epoch else None)
        with pytest.raises(KeyboardInterrupt):
            script.main(arguments)
    file.unlink()
    script.main(arguments)
    assert file.read_bytes() == whole


def stop():
    raise KeyboardInterrupt


def test_weights_must_be_given(script, capsys):
    with pytest.raises(SystemExit):
        script.main(["--data", "nowhere"])
    assert "--weights" in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["ternary", "joint"])
def test_low_bit_rows_end_in_files_that_hold_what_they_promise(script, monkeypatch, tmp_path, capsys, arguments, kind):
    pytest.importorskip("torchao")
    # Enough steps for all passes of freezing.
    shipped = script.load
    monkeypatch.setattr(script, "load", lambda name: (None, shipped(name)[1].replace("size = 128", "size = 4")))
    arguments[arguments.index("--rates") + 1] = "5"
    names = {"ternary": ["tighten", "parq"], "joint": ["tighten", "magnitude"]}[kind]
    script.main([*arguments[:-1], *(["pruned"] if kind == "joint" else []), kind])
    for name in names:
        file = tmp_path / "results" / f"{name}-{kind}-seed0.tight"
        found = verify(file, root=tmp_path)
        assert found.holds, found.checks
        state = script.tt.Artifact.open(file).state_dict()
        for weight in (w for w in state.values() if w.ndim > 1):
            if kind == "ternary":
                assert all(len(channel.abs().unique()) <= 2 for channel in weight)
            else:
                assert len(weight.unique()) <= 17
    assert capsys.readouterr().out.count(f"| {kind} |") == 2


@pytest.mark.parametrize("epoch", [1, 4])
def test_a_stopped_ternary_rival_goes_on_and_ends_with_the_same_bytes(script, monkeypatch, tmp_path, arguments, epoch):
    pytest.importorskip("torchao")
    arguments = [*arguments[:-1], "ternary", "--only", "rival"]
    script.main(arguments)
    file = tmp_path / "results" / "parq-ternary-seed0.tight"
    whole = file.read_bytes()
    arguments[arguments.index("--runs") + 1] = str(tmp_path / "again")
    with monkeypatch.context() as patch:
        patch.setattr(script.Progress, "epoch", lambda self, e: stop() if e.epoch == epoch else None)
        with pytest.raises(KeyboardInterrupt):
            script.main(arguments)
    file.unlink()
    script.main(arguments)
    assert file.read_bytes() == whole
