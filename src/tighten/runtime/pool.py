"""Ways to compute a maximum pooling."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tighten.runtime.window import Window, pair


class PoolChannelsLast(nn.Module):
    """Maximum pooling in the memory order `[N, H, W, C]`, where PyTorch's own is quick."""

    def __init__(self, layer: nn.MaxPool2d) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        if x.dim() != 4:
            return self.layer(x)  # type: ignore[no-any-return]
        return self.layer(x.contiguous(memory_format=torch.channels_last))  # type: ignore[no-any-return]


class PoolSlices(nn.Module):
    """Maximum pooling as the maximum of shifted pictures, first down, then across.

    It works in whatever memory order the input has. Padding and `ceil_mode` are not for it.
    """

    def __init__(self, window: Window) -> None:
        super().__init__()
        self.window = window

    def forward(self, x: Tensor) -> Tensor:
        return self._along(self._along(x, -2), -1)

    def _along(self, x: Tensor, axis: int) -> Tensor:
        kernel, stride, dilation = (
            pair[axis] for pair in (self.window.kernel, self.window.stride, self.window.dilation)
        )
        count = (x.shape[axis] - dilation * (kernel - 1) - 1) // stride + 1
        reach = stride * (count - 1) + 1
        best = _every(x, axis, 0, reach, stride)
        for step in range(1, kernel):
            best = torch.maximum(best, _every(x, axis, step * dilation, reach, stride))
        return best


def window_of(layer: nn.MaxPool2d) -> Window | None:
    """The window of a pooling that `PoolSlices` can do; None for others."""
    kernel, stride, dilation, padding = map(pair, (layer.kernel_size, layer.stride, layer.dilation, layer.padding))
    if layer.ceil_mode or layer.return_indices or padding != (0, 0) or kernel == (1, 1):
        return None
    return Window(kernel, stride, dilation, (0, 0), (0, 0))


def _every(x: Tensor, axis: int, start: int, reach: int, stride: int) -> Tensor:
    cut = slice(start, start + reach, stride)
    return x[..., cut] if axis == -1 else x[..., cut, :]
