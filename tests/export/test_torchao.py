"""State dicts with torchao's tensors, loaded and run."""

import sys

import pytest
import torch
from tests.export.nets import LENET5, Net, constrained, drawn, inputs, mixed, same_bits
from torch import nn

import tighten as tt
from tighten.artifact import Artifact
from tighten.export.torchao import torchao
from tighten.zoo import LeNet5


def no_network():
    pytest.fail("a model was asked for")


@pytest.fixture(scope="module")
def package():
    return pytest.importorskip("torchao.quantization")


@torch.no_grad()
def test_a_model_takes_the_tensors_and_computes_the_same(package, tmp_path):
    model, artifact = mixed()
    lines = torchao(artifact, no_network, tmp_path / "net.pt")
    state = torch.load(tmp_path / "net.pt", weights_only=True)
    again = Net().eval()
    again.load_state_dict(state, assign=True)
    assert type(again.c.weight.data) is type(again.d.weight.data) is package.IntxUnpackedToInt8Tensor
    assert (again.c.weight.target_dtype, again.d.weight.target_dtype) == (torch.int4, torch.int8)
    for name, value in artifact.state_dict().items():
        found = state[name].dequantize() if name in ("c.weight", "d.weight") else state[name]
        assert same_bits(found, value), name
    torch.testing.assert_close(again(inputs(5)), model(inputs(5)), rtol=1e-5, atol=1e-5)
    assert lines[1:] == [
        "whole numbers: 2",
        "stays float: a.weight (values are free, not levels)",
        "stays float: b.weight (the format packs matrices of layers only)",
    ]


@torch.no_grad()
def test_embeddings_work(package, tmp_path):
    model = nn.Sequential(nn.Embedding(10, 6), nn.Linear(6, 2))
    artifact = constrained(model, {"0.weight": tt.Uniform(bits=3, per_channel=True), "1.weight": tt.Binary()})
    torchao(artifact, no_network, tmp_path / "net.pt")
    state = torch.load(tmp_path / "net.pt", weights_only=True)
    assert state["0.weight"].target_dtype == torch.int3
    assert state["1.weight"].target_dtype == torch.int2
    tokens = torch.arange(10)
    expected = model(tokens)
    model.load_state_dict(state, assign=True)
    torch.testing.assert_close(model(tokens), expected)


@torch.no_grad()
def test_lenet5_takes_a_byte_for_a_weight(package, tmp_path):
    artifact = Artifact.open(LENET5 / "lenet5-mnist-binary-seed0.tight")
    torchao(artifact, no_network, tmp_path / "net.pt")
    model, again = LeNet5().eval(), LeNet5().eval()
    model.load_state_dict(artifact.state_dict())
    again.load_state_dict(torch.load(tmp_path / "net.pt", weights_only=True), assign=True)
    x = inputs(8, (1, 28, 28))
    torch.testing.assert_close(again(x), model(x), rtol=1e-5, atol=1e-5)
    packed, convolutions = 405_000, 25_500
    assert (tmp_path / "net.pt").stat().st_size < packed + 4 * convolutions + 12_000


def test_nothing_to_pack_is_refused(package, tmp_path):
    artifact = constrained(drawn(Net()), {"c.weight": tt.Sparse(density=0.5)})
    with pytest.raises(tt.ArtifactError, match=r"torchao.*c\.weight \(values are free.*--to safetensors"):
        torchao(artifact, no_network, tmp_path / "net.pt")
    assert list(tmp_path.iterdir()) == []


def test_a_missing_package_is_named_with_the_extra(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "torchao", None)
    monkeypatch.setitem(sys.modules, "torchao.quantization", None)
    with pytest.raises(tt.ArtifactError, match=r"torchao.*pip install 'tighten\[torchao\]'"):
        torchao(mixed()[1], no_network, tmp_path / "net.pt")
