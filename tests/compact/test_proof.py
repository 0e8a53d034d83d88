"""The proof must fail where networks differ, however seldom that shows."""

import copy

import pytest
import torch
from tests.compact.nets import drawn, inputs
from torch import nn

from tighten.compact.proof import difference, inputs_like, open_paths


def network():
    torch.manual_seed(0)
    return drawn(
        nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Linear(6, 2))
    )


def test_a_neuron_that_hardly_ever_works_is_seen():
    one = network()
    with torch.no_grad():
        one[0].bias[3] = -1e6
    other = copy.deepcopy(one)
    with torch.no_grad():
        other[2].weight[:, 3] = 0
    assert difference(one, other, [inputs(50, 4)]) == 0
    opened = [open_paths(model) for model in (one, other)]
    assert difference(*opened, inputs_like(torch.zeros(3, 4), positive=True)) > 1e-3


@pytest.mark.parametrize("layer", [0, 2])
def test_neurons_at_another_place_are_seen(layer):
    one = network()
    other = copy.deepcopy(one)
    opened, swapped = open_paths(one), open_paths(other)
    with torch.no_grad():
        swapped[layer].weight[[1, 4]] = swapped[layer].weight[[4, 1]]
    assert difference(opened, swapped, inputs_like(torch.zeros(3, 4), positive=True)) > 1e-3


def test_zeros_stay_and_no_path_is_shut():
    one = network()
    with torch.no_grad():
        one[2].weight[:, 3] = 0
    opened = open_paths(one)
    for name, p in one.named_parameters():
        if p.ndim > 1:
            assert torch.equal(opened.get_parameter(name) > 0, p != 0)
    x = inputs_like(torch.zeros(3, 4), positive=True)[0]
    assert bool((x >= 0).all())
    for i, part in enumerate(opened):
        x = part(x)
        assert bool((x > 0).all()), i


def test_difference_by_hand():
    class Give(nn.Module):
        def __init__(self, *values):
            super().__init__()
            self.values = [torch.tensor(v) for v in values]

        def forward(self, x):
            return self.values

    x = [torch.zeros(1)]
    assert difference(Give([1.0, -4.0], [0.0]), Give([1.0, -3.0], [0.0]), x) == 0.25
    assert difference(Give([1.0, float("nan")]), Give([1.0, float("nan")]), x) == 0
    assert difference(Give([1.0, float("nan")]), Give([1.0, 2.0]), x) == float("inf")
    assert difference(Give([1.0]), Give([1.0, 2.0]), x) == float("inf")
    assert difference(Give([1.0]), Give([1.0], [1.0]), x) == float("inf")


def test_inputs_of_whole_numbers_are_values_that_were_seen():
    example = torch.tensor([[3, 9, 3], [7, 7, 9]])
    for x in inputs_like(example, positive=True):
        assert x.shape == example.shape
        assert x.dtype == example.dtype
        assert set(x.flatten().tolist()) <= {3, 7, 9}
