"""Channels that are always zero: gone where only layers read them, and nowhere else."""

import pytest
import torch
from torch import nn

from tighten.export.c99.alive import drop_zero_channels
from tighten.export.c99.lowering import lower
from tighten.folding.trace import trace


class Net(nn.Module):
    """A convolution with one dead channel of four, and something that reads it."""

    def __init__(self, reader, function):
        super().__init__()
        torch.manual_seed(0)
        self.first = nn.Conv2d(2, 4, 3)
        self.reader = reader
        self.function = function
        with torch.no_grad():
            self.first.weight[1] = 0
            self.first.bias[1] = 0

    def forward(self, x):
        return self.function(self.reader, self.first(x))


def channels(reader, function):
    traced = trace(Net(reader, function).eval(), (torch.zeros(1, 2, 8, 8),))
    assert not isinstance(traced, str)
    operations = lower(traced, {})
    drop_zero_channels(operations)
    return operations


@pytest.mark.parametrize(
    ("reader", "function", "columns"),
    [
        (nn.Conv2d(4, 5, 3), lambda r, y: r(y), 27),
        (nn.Conv2d(4, 5, 3, padding=1), lambda r, y: r(y.relu()), 27),
        (nn.Linear(144, 5), lambda r, y: r(y.flatten(1)), 108),
        (nn.Linear(36, 5), lambda r, y: r(nn.functional.max_pool2d(y, 2).flatten(1)), 27),
    ],
)
def test_a_dead_channel_that_layers_read_is_gone(reader, function, columns):
    first, second = channels(reader, function)
    assert first.out.shape[0] == 3
    assert len(first.weights.base) == 3
    assert second.weights.base.shape[1] == columns
    kept = torch.tensor([0, 2, 3])
    size = columns // 3
    wanted = (kept[:, None] * size + torch.arange(size)).flatten()
    assert torch.equal(second.weights.base, reader.weight.detach().flatten(1)[:, wanted])


@pytest.mark.parametrize(
    ("reader", "function"),
    [
        (nn.Identity(), lambda r, y: y),
        (nn.Conv2d(4, 4, 3, groups=2), lambda r, y: r(y)),
        (nn.BatchNorm2d(4), lambda r, y: r(y.relu())),
        (nn.Conv2d(4, 4, 3, padding=1), lambda r, y: r(y) + y),
        (nn.Conv2d(4, 4, 3), lambda r, y: r(y[:, :, ::2])),
    ],
)
def test_a_dead_channel_that_others_see_stays(reader, function):
    first = channels(reader, function)[0]
    assert first.out.shape[0] == 4


def test_one_channel_is_left():
    reader = nn.Conv2d(4, 5, 3)
    net = Net(reader, lambda r, y: r(y)).eval()
    with torch.no_grad():
        net.first.weight.zero_()
        net.first.bias.zero_()
    traced = trace(net, (torch.zeros(1, 2, 8, 8),))
    assert not isinstance(traced, str)
    operations = lower(traced, {})
    drop_zero_channels(operations)
    assert operations[0].out.shape[0] == 1
