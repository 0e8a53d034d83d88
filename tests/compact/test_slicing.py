"""Where the entries of a small network lie in the full one."""

import torch
from tests.compact.nets import Net, drawn
from torch import nn

from tighten.compact.coupling import Cut
from tighten.compact.slicing import fill, sliced


def test_places_by_hand():
    full = drawn(Net())
    small, places = sliced(full, {Cut("a", True): {1}, Cut("b", False): {1}})
    assert places["a.bias"].tolist() == [0, 2, 3]
    assert places["b.weight"][0, :, 0, 0].tolist() == [0, 18, 27]
    assert places["b.weight"][2, 1, 1, 2].item() == 2 * 36 + 2 * 9 + 1 * 3 + 2
    assert torch.equal(places["c.weight"], torch.arange(12).reshape(2, 6))
    assert torch.equal(small.b.weight, full.b.weight[:, [0, 2, 3]])
    assert torch.equal(small.c.bias, full.c.bias)


def test_counters_keep_their_type():
    full = nn.Sequential(nn.Conv1d(1, 3, 1), nn.BatchNorm1d(3))
    full[1].num_batches_tracked.fill_(5)
    small, places = sliced(full, {Cut("0", True): {0}, Cut("1", True): {0}})
    assert small[1].num_batches_tracked.dtype == torch.int64
    assert small[1].num_batches_tracked == 5
    assert places["1.num_batches_tracked"].shape == ()
    assert small[1].running_var.tolist() == [1, 1]


def test_fill_takes_values_modes_and_what_is_trained():
    full = drawn(Net())
    small, places = sliced(full, {Cut("a", True): {1}, Cut("b", False): {1}})
    other = Net().double().train()
    other.a.weight.requires_grad_(False)
    fill(small, places, other)
    assert torch.equal(small.a.weight, other.a.weight[[0, 2, 3]])
    assert small.a.weight.dtype == torch.float64
    assert small.training
    assert not small.a.weight.requires_grad
    with torch.no_grad():
        small.a.weight.add_(1)
    assert not torch.equal(small.a.weight, other.a.weight[[0, 2, 3]])


def test_tied_parameters_stay_tied():
    full = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3), nn.Linear(3, 2))
    full[1].weight = full[0].weight
    small, _ = sliced(full, {})
    assert small[1].weight is small[0].weight
    assert torch.equal(small[1].weight, full[0].weight)
