"""The compressed-tensors layout, read back by an unpacking of its own and by the package."""

import contextlib
import json

import pytest
import torch
from safetensors.torch import load_file
from tests.export.nets import LENET5, MIXED, Net, constrained, drawn, inputs, mixed, same_bits
from torch import nn

import tighten as tt
from tighten.artifact import Artifact
from tighten.export.compressed_tensors import compressed_tensors
from tighten.torchvision_ops import import_torchvision
from tighten.zoo import LeNet5


def no_network():
    pytest.fail("a model was asked for")


def unpacked(tensors, layer, bits):
    """The matrix of a layer, bit by bit from the stored words."""
    rows, columns = tensors[f"{layer}.weight_shape"].tolist()
    out = torch.empty(rows, columns)
    for r, words in enumerate(tensors[f"{layer}.weight_packed"].tolist()):
        number = sum((word % 2**32) << (32 * place) for place, word in enumerate(words))
        for c in range(columns):
            out[r, c] = (number >> (c * bits)) % 2**bits - 2 ** (bits - 1)
    return out * tensors[f"{layer}.weight_scale"]


@pytest.fixture
def written(tmp_path):
    model, artifact = mixed()
    path = tmp_path / "net.compressed-tensors"
    return model, artifact, path, compressed_tensors(artifact, no_network, path)


def test_matrices_are_packed_and_the_rest_is_as_it_was(written):
    _, artifact, path, lines = written
    tensors = load_file(path / "model.safetensors")
    state = artifact.state_dict()
    assert same_bits(unpacked(tensors, "c", 4), state["c.weight"])
    assert same_bits(unpacked(tensors, "d", 8), state["d.weight"])
    assert tensors["c.weight_packed"].shape == (7, 7)  # 54 columns of 4 bits in words of 32
    assert tensors["c.weight_packed"].dtype == torch.int32
    plain = set(state) - {"c.weight", "d.weight"}
    assert all(same_bits(tensors[name], state[name]) for name in plain)
    assert set(tensors) == plain | {f"{layer}.weight_{part}" for layer in "cd" for part in ("packed", "scale", "shape")}
    size = sum(file.stat().st_size for file in path.iterdir())
    assert lines == [
        f"{size:,} bytes; the tensors as they are: {sum(t.numel() * t.element_size() for t in state.values()):,}",
        "packed at 4 bits: 1",
        "packed at 8 bits: 1",
        "stays float: a.weight (values are free, not levels)",
        "stays float: b.weight (the format packs matrices of layers only)",
    ]


def test_two_bits_and_a_scale_for_each_row(tmp_path):
    model = nn.Sequential(nn.Linear(33, 5))
    artifact = constrained(model, {"0.weight": tt.Ternary(per_channel=True)})
    compressed_tensors(artifact, no_network, tmp_path / "net")
    tensors = load_file(tmp_path / "net" / "model.safetensors")
    assert same_bits(unpacked(tensors, "0", 2), artifact.state_dict()["0.weight"])
    assert len(tensors["0.weight_scale"].unique()) == 5


def test_tied_matrices_are_both_packed(tmp_path):
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    model[1].weight = model[0].weight
    artifact = constrained(model, {"1.weight": tt.Uniform(bits=4)})
    compressed_tensors(artifact, no_network, tmp_path / "net")
    tensors = load_file(tmp_path / "net" / "model.safetensors")
    for layer in "01":
        assert same_bits(unpacked(tensors, layer, 4), artifact.state_dict()["0.weight"])


@pytest.fixture(scope="module")
def package():
    """The package itself; it imports transformers, which imports torchvision where it is installed."""
    with contextlib.suppress(tt.DataError):
        import_torchvision()
    return pytest.importorskip("compressed_tensors")


@pytest.mark.slow
def test_the_package_gives_the_tensors_back_without_a_model(package, written):
    from compressed_tensors.entrypoints.convert.converters import CompressedTensorsDequantizer

    _, artifact, path, _ = written
    found = CompressedTensorsDequantizer(path, dtype=torch.float32).process(load_file(path / "model.safetensors"))
    state = artifact.state_dict()
    assert set(found) == set(state)
    assert all(same_bits(found[name], value) for name, value in state.items())


def loaded_by_package(model, path):
    """A model that the package has prepared for the layout, loaded, as transformers loads it."""
    from compressed_tensors.compressors import ModelCompressor
    from compressed_tensors.quantization import QuantizationConfig, apply_quantization_config

    data = json.loads((path / "config.json").read_text())["quantization_config"]
    config = QuantizationConfig.model_validate(data)
    apply_quantization_config(model, config, show_progress=False)
    compressor = ModelCompressor(quantization_config=config)
    compressor.compress_model(model)  # makes room for packed tensors
    model.load_state_dict(load_file(path / "model.safetensors"))
    return model.eval()


@pytest.mark.slow
@torch.no_grad()
def test_the_package_runs_the_network(package, written):
    model, artifact, path, _ = written
    again = loaded_by_package(Net(), path)
    assert not hasattr(again.c, "weight")
    assert torch.equal(again(inputs(4)), model(inputs(4)))
    state = artifact.state_dict()
    assert same_bits(again.c.weight.data, state["c.weight"])


@pytest.mark.slow
@torch.no_grad()
def test_lenet5_is_run_by_the_package(package, tmp_path):
    artifact = Artifact.open(LENET5 / "lenet5-mnist-joint-seed0.tight")
    compressed_tensors(artifact, no_network, tmp_path / "net")
    again = loaded_by_package(LeNet5(), tmp_path / "net")
    model = LeNet5().eval()
    model.load_state_dict(artifact.state_dict())
    x = inputs(8, (1, 28, 28))
    assert torch.equal(again(x), model(x))


@pytest.mark.parametrize(
    ("sets", "says"),
    [
        ({}, "no constrained tensors"),
        ({"c.weight": MIXED["a.weight"]}, r"c\.weight \(values are free"),
        ({"b.weight": MIXED["b.weight"]}, r"b\.weight \(the format packs matrices"),
        ({"c.bias": tt.Uniform(bits=4)}, r"c\.bias \(the format packs matrices"),
    ],
)
def test_nothing_to_pack_is_refused(sets, says, tmp_path):
    artifact = constrained(drawn(Net()), sets)
    with pytest.raises(tt.ArtifactError, match=rf"{says}.*--to safetensors"):
        compressed_tensors(artifact, no_network, tmp_path / "net")
    assert list(tmp_path.iterdir()) == []


def test_a_type_without_kernels_is_refused(tmp_path):
    artifact = constrained(nn.Sequential(nn.Linear(4, 4)).double(), {"0.weight": tt.Uniform(bits=4)})
    with pytest.raises(tt.ArtifactError, match="float64"):
        compressed_tensors(artifact, no_network, tmp_path / "net")


def test_only_folders_of_an_earlier_export_are_replaced(written):
    model, artifact, path, _ = written
    before = (path / "model.safetensors").read_bytes()
    artifact = constrained(model, {"c.weight": tt.Ternary()})
    compressed_tensors(artifact, no_network, path)
    assert (path / "model.safetensors").read_bytes() != before
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    (path / "mine.txt").write_text("")
    with pytest.raises(tt.ArtifactError, match=r"not a folder of an earlier export.*--out"):
        compressed_tensors(artifact, no_network, path)
    assert (path / "mine.txt").exists()
    with pytest.raises(tt.ArtifactError, match=r"not a folder of an earlier export.*--out"):
        compressed_tensors(artifact, no_network, path / "mine.txt")
    with pytest.raises(tt.ArtifactError, match=r"cannot be written.*--out"):
        compressed_tensors(artifact, no_network, path / "nowhere" / "net")
