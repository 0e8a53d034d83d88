"""The dense state dict, read back."""

import pytest
from safetensors.torch import load_file
from tests.export.nets import constrained, mixed, same_bits
from torch import nn

import tighten as tt
from tighten.export.dense import safetensors


def no_network():
    pytest.fail("a model was asked for")


def test_every_tensor_comes_back_bit_for_bit(tmp_path):
    _, artifact = mixed()
    lines = safetensors(artifact, no_network, tmp_path / "net.safetensors")
    found = load_file(tmp_path / "net.safetensors")
    state = artifact.state_dict()
    assert set(found) == set(state)
    assert all(same_bits(found[name], value) for name, value in state.items())
    dense = sum(value.numel() * value.element_size() for value in state.values())
    size = (tmp_path / "net.safetensors").stat().st_size
    assert lines == [f"{size:,} bytes; the tensors as they are: {dense:,}"]


def test_tied_tensors_are_written_for_each_name(tmp_path):
    model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    model[1].weight = model[0].weight
    artifact = constrained(model, {"0.weight": tt.Ternary()})
    safetensors(artifact, no_network, tmp_path / "net.safetensors")
    found = load_file(tmp_path / "net.safetensors")
    assert same_bits(found["0.weight"], found["1.weight"])


def test_an_unwritable_path_is_told_and_the_old_file_stays(tmp_path):
    _, artifact = mixed()
    (tmp_path / "folder").mkdir()
    for path in (tmp_path / "folder", tmp_path / "nowhere" / "net.safetensors"):
        with pytest.raises(tt.ArtifactError, match=r"cannot be written.*--out"):
            safetensors(artifact, no_network, path)
    assert [one.name for one in tmp_path.iterdir()] == ["folder"]
