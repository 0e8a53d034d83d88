"""The network of a file: where its model and the shape of its inputs come from."""

import pytest
import torch
from tests.export.nets import SHAPE, Net, constrained, drawn, inputs, mixed, same_bits
from torch import nn

import tighten as tt
from tighten.artifact import Artifact
from tighten.export import Network
from tighten.zoo import DigitsNet

DIGITS = {"model": "tighten.zoo:DigitsNet", "data": "tighten.data:digits"}


def digits_artifact(meta):
    return Artifact.of(drawn(DigitsNet()).state_dict(), {}, meta)


def test_the_file_names_both():
    artifact = digits_artifact(DIGITS)
    network = Network.of(artifact)
    assert network.example.shape == (1, 1, 8, 8)
    assert network.example.dtype == torch.float32
    assert isinstance(network.model, DigitsNet)
    assert not network.model.training
    state = network.model.state_dict()
    assert all(same_bits(state[name], value) for name, value in artifact.state_dict().items())


def test_a_given_model_is_copied_and_left_alone():
    trained, artifact = mixed()
    given = Net().train()
    before = {name: value.clone() for name, value in given.state_dict().items()}
    network = Network.of(artifact, given, SHAPE)
    assert given.training
    assert all(p.requires_grad for p in given.parameters())
    assert all(same_bits(value, before[name]) for name, value in given.state_dict().items())
    assert not any(p.requires_grad for p in network.model.parameters())
    with torch.no_grad():
        assert torch.equal(network.model(inputs(4)), trained(inputs(4)))


def test_an_import_path_is_built():
    artifact = digits_artifact({})
    network = Network.of(artifact, "tighten.zoo:DigitsNet", (1, 8, 8))
    assert isinstance(network.model, DigitsNet)


@pytest.mark.parametrize(
    ("meta", "arguments", "says"),
    [
        ({}, {}, r"does not name its model.*--model"),
        ({"model": 3}, {}, r"does not name its model.*--model"),
        ({"model": "os:getcwd"}, {}, r"not run by itself.*--model os:getcwd"),
        ({}, {"model": "collections:Counter"}, r"makes a Counter, not a torch\.nn\.Module"),
        ({}, {"model": "tighten.zoo:Digits"}, r"has no 'Digits'"),
        ({"model": DIGITS["model"]}, {}, r"does not say what its inputs are.*--input 3,32,32"),
        ({**DIGITS, "data": "my.data:set"}, {}, r"'my\.data:set'.*--input"),
        (DIGITS, {"shape": (3, 8, 8)}, r"DigitsNet does not take an input of shape \[1, 3, 8, 8\].*--input"),
        ({}, {"model": "tighten.zoo:LeNet5"}, r"does not fit LeNet5.*conv1\.weight.*in the file.*--model"),
        ({}, {"model": nn.Linear(2, 2)}, r"'conv1\.weight' is missing in the model"),
    ],
)
def test_what_is_missing_or_wrong_is_named_with_the_option(meta, arguments, says):
    with pytest.raises(tt.TightenError, match=says):
        Network.of(digits_artifact(meta), **arguments)


def test_a_model_with_more_tensors_or_other_types_does_not_fit():
    artifact = constrained(drawn(Net()), {})
    bigger = Net()
    bigger.more = nn.Linear(2, 2)
    with pytest.raises(tt.ArtifactError, match=r"'more\.weight' is missing in the file"):
        Network.of(artifact, bigger, SHAPE)
    with pytest.raises(tt.ArtifactError, match=r"float32.*in the file and float64"):
        Network.of(artifact, Net().double(), SHAPE)
