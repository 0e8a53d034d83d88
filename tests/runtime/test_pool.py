from __future__ import annotations

import pytest
import torch
from torch import nn

from tighten.runtime.pool import PoolChannelsLast, PoolSlices, window_of


def orders(x: torch.Tensor) -> list[torch.Tensor]:
    """The same numbers in the memory orders that kernels leave."""
    last = x.contiguous(memory_format=torch.channels_last)
    return [x, last, x.permute(1, 2, 3, 0).contiguous().permute(3, 0, 1, 2)]


@pytest.mark.parametrize(
    "settings",
    [
        {"kernel_size": 2},
        {"kernel_size": 3, "stride": 2},
        {"kernel_size": (2, 3), "stride": (3, 1)},
        {"kernel_size": 2, "dilation": 3, "stride": 1},
        {"kernel_size": (1, 2), "stride": 2},
    ],
)
def test_gives_what_the_layer_gives(settings):
    layer = nn.MaxPool2d(**settings)
    x = torch.randn(3, 4, 11, 13)
    x[0, 0, 3, 3] = float("nan")
    x[0, 1, 3, 3] = float("-inf")
    for same in (
        x,
        x.contiguous(memory_format=torch.channels_last),
        x.permute(1, 2, 3, 0).contiguous().permute(3, 0, 1, 2),
    ):
        for kernel in (PoolSlices(window_of(layer)), PoolChannelsLast(layer)):
            torch.testing.assert_close(kernel(same), layer(x), rtol=0, atol=0, equal_nan=True)
            torch.testing.assert_close(kernel(same[0]), layer(x[0]), rtol=0, atol=0, equal_nan=True)


def test_padding_and_ceilings_are_not_for_slices():
    assert window_of(nn.MaxPool2d(1, stride=2)) is None  # a part of the input, which must not be overwritten
    for settings in ({"padding": 1}, {"ceil_mode": True}, {"return_indices": True}):
        assert window_of(nn.MaxPool2d(3, **settings)) is None
    layer = nn.MaxPool2d(3, padding=1, ceil_mode=True)
    x = torch.randn(2, 3, 10, 10)
    assert torch.equal(PoolChannelsLast(layer)(x), layer(x))
