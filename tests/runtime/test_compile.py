"""Whole networks: same results, what is remembered, and what is refused."""

from __future__ import annotations

import copy
import importlib
import json
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils import prune

from tighten import Artifact
from tighten.errors import CompileError
from tighten.runtime import Compiled, compile, compile_file
from tighten.zoo import DigitsNet, ResNet20

module = importlib.import_module("tighten.runtime.compile")


def sparse(model: nn.Module, density: float) -> nn.Module:
    torch.manual_seed(0)
    for weight in (p for p in model.parameters() if p.dim() > 1):
        weight.data *= torch.rand_like(weight) < density
    return model


@pytest.fixture
def gains(monkeypatch):
    """Whatever is found counts as a gain, so that it is what comes back."""
    monkeypatch.setattr(module, "_LEAST_GAIN", 0.0)


@pytest.mark.parametrize("pictures", [1, 40])
@pytest.mark.parametrize(("net", "shape"), [(DigitsNet, (1, 8, 8)), (ResNet20, (3, 16, 16))])
def test_same_outputs_for_every_batch_size(net, shape, pictures, gains):
    model = sparse(net(), 0.1)
    model.train()
    before = copy.deepcopy(model.state_dict())
    compiled = compile(model, torch.randn(pictures, *shape), seconds=0.2)
    assert not compiled.report.kept_plain
    assert model.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    model.eval()
    for batch in (pictures, 1, 7):
        x = torch.randn(batch, *shape)
        with torch.inference_mode():
            expected = model(x)
        torch.testing.assert_close(compiled(x), expected, rtol=1e-4, atol=1e-4)
        with torch.inference_mode():
            torch.testing.assert_close(compiled(x), expected, rtol=1e-4, atol=1e-4)
    assert not compiled(x).requires_grad


def test_choices_are_remembered(gains):
    model, x = sparse(DigitsNet(), 0.05), torch.randn(2, 1, 8, 8)
    first = compile(model, x, seconds=0.2)
    choices = json.loads(json.dumps(first.choices))
    assert choices.keys() == {"conv1", "max_pool2d", "conv2", "max_pool2d_1", "fc1", "fc2"}
    again = compile(model, x, choices=choices)
    assert again.choices == choices
    assert [(layer.name, layer.kernel) for layer in again.report.layers] == list(choices.items())
    assert again.report.plain_us is None
    assert "not measured" in str(again)
    assert torch.allclose(again(x), first(x), atol=1e-5)


def test_a_slower_network_is_not_taken(monkeypatch):
    monkeypatch.setattr(module, "_LEAST_GAIN", 1e9)
    model, x = sparse(DigitsNet(), 0.05), torch.randn(2, 1, 8, 8)
    compiled = compile(model, x, seconds=0.1)
    assert compiled.report.kept_plain
    assert compiled.report.gain == 1
    assert compiled.choices == {}
    assert "Nothing is gained" in str(compiled)
    assert isinstance(compiled.network, DigitsNet)
    assert torch.equal(compiled(x), model.eval()(x))
    again = compile(model, x, choices=compiled.choices)
    assert "the plain model is used" in str(again)
    assert torch.equal(again(x), model(x))


class Loops(nn.Module):
    """Cannot be traced: how often the layers run depends on the input. Its view needs the usual memory order."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(2, 2, 3, padding=1)
        self.fc = nn.Linear(2 * 36, 5)

    def forward(self, x):
        for _ in range(len(x)):
            x = F.relu(self.conv(x))
        return {"out": self.fc(x.view(x.size(0), -1)), "rows": [len(x)]}


class Optional(nn.Module):
    """Traced with another branch than the one that runs."""

    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(9, 5)

    def forward(self, x, mask=None):
        if mask is not None:
            x = x * 2
        return self.fc(x)


@pytest.mark.parametrize("key", ["unfold-csr", "map-csr", "runs-csr", "packed"])
def test_models_that_cannot_be_traced_exchange_modules(key):
    model = sparse(Loops(), 0.5).eval()
    compiled = compile(model, torch.randn(3, 2, 6, 6), choices={"conv": key, "fc": "csr"})
    assert "cannot be traced" in str(compiled)
    for pictures in (1, 3, 40):
        x = torch.randn(pictures, 2, 6, 6)
        found, expected = compiled(x), model(x)
        assert found["rows"] == expected["rows"]
        torch.testing.assert_close(found["out"], expected["out"], rtol=1e-4, atol=1e-5)


def test_untraced_models_are_measured(gains):
    model = sparse(Loops(), 0.5).eval()
    compiled = compile(model, torch.randn(3, 2, 6, 6), seconds=0.1)
    assert [layer.name for layer in compiled.report.layers] == ["conv", "fc"]
    assert all(layer.dense_us for layer in compiled.report.layers)
    assert type(model.conv) is nn.Conv2d
    assert not model.conv._forward_pre_hooks


def test_a_graph_of_another_branch_is_not_taken(gains):
    model, x = sparse(Optional(), 0.5).eval(), torch.randn(2, 9)
    compiled = compile(model, x, seconds=0.05)
    assert "forward depends on values" in str(compiled)
    assert torch.allclose(compiled(x), model(x), atol=1e-6)
    assert torch.allclose(compiled(x, mask=True), model(x, mask=True), atol=1e-6)


class Twice(nn.Module):
    """One convolution at two sizes, and two inputs."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(2, 2, 3)

    def forward(self, x, y):
        return self.conv(self.conv(x)).mean() + self.conv(y)


def test_shared_layers_and_several_inputs():
    model = sparse(Twice(), 0.5).eval()
    for key in ("map-csr", "pixel-csr", "runs-csr"):
        x, y = torch.randn(30, 2, 9, 9), torch.randn(30, 2, 5, 5)
        compiled = compile(model, (x, y), choices={"conv": key})
        torch.testing.assert_close(compiled(x, y), model(x, y), rtol=1e-4, atol=1e-5)
        assert compiled.report.shapes == ((30, 2, 9, 9), (30, 2, 5, 5))


def test_a_layer_alone(gains):
    layer = sparse(nn.Linear(40, 30), 0.1)
    compiled = compile(layer, torch.randn(2, 40), seconds=0.05)
    assert compiled.choices.keys() == {"0"}
    assert torch.allclose(compiled(torch.ones(1, 40)), layer(torch.ones(1, 40)), atol=1e-6)


def test_threads_and_shapes_are_reported():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        report = compile(sparse(DigitsNet(), 0.1), torch.randn(2, 1, 8, 8), seconds=0.05).report
    finally:
        torch.set_num_threads(before)
    assert (report.threads, report.shapes) == (1, ((2, 1, 8, 8),))


def test_training_is_refused():
    compiled = compile(DigitsNet(), torch.randn(1, 1, 8, 8), choices={})
    assert isinstance(compiled, Compiled)
    assert compiled.eval() is compiled
    assert not any(part.training for part in compiled.modules())
    with pytest.raises(CompileError, match="only infers"):
        compiled.train()


@pytest.mark.parametrize(
    ("model", "example", "settings", "words"),
    [
        (DigitsNet(), torch.randn(1, 1, 8, 8), {"seconds": 0}, "seconds=0 leaves no time"),
        (DigitsNet(), torch.randn(0, 1, 8, 8), {}, "the example is [0, 1, 8, 8]"),
        (DigitsNet(), torch.randn(2, 3, 8, 8), {}, "does not take the example of shape [2, 3, 8, 8]"),
        (DigitsNet().to("meta"), torch.randn(1, 1, 8, 8), {}, "'conv1.weight' is on meta"),
        (DigitsNet(), torch.randn(1, 1, 8, 8), {"choices": {"conv9": "csr"}}, "'conv9', which is no layer"),
        (DigitsNet(), torch.randn(1, 1, 8, 8), {"choices": {"fc1": "map-csr"}}, "'fc1' cannot be 'map-csr'"),
    ],
)
def test_what_is_refused(model, example, settings, words):
    with pytest.raises(CompileError) as caught:
        compile(model, example, **settings)
    assert words in str(caught.value)


def test_pruned_by_pytorch_without_removal():
    """A mask that is still there makes the weight a computed tensor."""
    model = nn.Sequential(nn.Linear(4, 4))
    prune.l1_unstructured(model[0], "weight", amount=0.5)
    with pytest.raises(CompileError, match=r"prune\.remove"):
        compile(model, torch.randn(1, 4))


def saved(network: nn.Module, path: Path, **meta: str) -> Path:
    Artifact.of(network.state_dict(), {}, meta).save(path)
    return path


def test_from_a_file(tmp_path, gains):
    model = sparse(DigitsNet(), 0.1).eval()
    x = torch.randn(3, 1, 8, 8)
    named = saved(model, tmp_path / "named.tight", model="tighten.zoo:DigitsNet")
    compiled = compile_file(named, x, seconds=0.1)
    assert torch.allclose(compiled(x), model(x), atol=1e-5)
    given = DigitsNet()
    before = copy.deepcopy(given.state_dict())
    compiled = compile_file(named, x, given, choices=compiled.choices)
    assert torch.allclose(compiled(x), model(x), atol=1e-5)
    assert all(torch.equal(value, before[name]) for name, value in given.state_dict().items())


@pytest.mark.parametrize(
    ("meta", "words"), [({}, "does not name its model"), ({"model": "os:getcwd"}, "'os:getcwd', which is not in")]
)
def test_a_file_that_names_no_model_of_ours(tmp_path, meta, words):
    path = saved(DigitsNet(), tmp_path / "net.tight", **meta)
    with pytest.raises(CompileError, match=words):
        compile_file(path, torch.randn(1, 1, 8, 8))
