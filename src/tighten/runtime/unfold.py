"""Convolutions as products of matrices, dense or sparse.

They give what `nn.Conv2d` gives, stored with the pictures of the batch innermost (`[C, H, W, N]` in memory): what is
copied lies in long rows then, and a linear layer after `flatten` finds its input as it wants it.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tighten.runtime.conv import Convolution
from tighten.runtime.csr import Csr
from tighten.runtime.live import bias_of, some
from tighten.runtime.window import Window

# Numbers of a part of the windows: half of a usual second-level cache, and enough for a dense product to pay.
_CSR_CHUNK = 2**18
_DENSE_CHUNK = 2**21


class Dense(nn.Module):
    """A dense matrix and a bias, `matrix @ x + bias`. Shape: `[I, M]` to `[O, M]`."""

    def __init__(self, matrix: Tensor, bias: Tensor) -> None:
        super().__init__()
        self.matrix, self.bias = matrix.clone(), bias[:, None]

    def forward(self, x: Tensor) -> Tensor:
        return torch.addmm(self.bias, self.matrix, x)


class Unfolded(Convolution):
    """A matrix of weights times the matrix of all windows, over the live input channels.

    Cost: the windows are copied, a few rows of the picture at a time, so that they stay in the cache.
    """

    def __init__(self, layer: nn.Conv2d, *, sparse: bool) -> None:
        super().__init__()
        weight = layer.weight.detach()
        self.window = Window.of(layer)
        self.inputs = some((weight != 0).flatten(2).any(2).any(0))
        matrix = (weight if self.inputs is None else weight[:, self.inputs]).flatten(1)
        # Zero rows cost nothing in a sparse matrix.
        self.outputs = None if sparse else some((matrix != 0).any(1))
        self.bias = bias_of(layer)
        live_bias = self.bias if self.outputs is None else self.bias[self.outputs]
        live = matrix if self.outputs is None else matrix[self.outputs]
        self.matrix = Csr.of(live, live_bias) if sparse else Dense(live, live_bias)
        self.rows, self.depth = live.shape
        self.chunk = _CSR_CHUNK if sparse else _DENSE_CHUNK

    def batch(self, x: Tensor) -> Tensor:
        x = x.permute(1, 2, 3, 0)
        if self.inputs is not None:
            x = x.index_select(0, self.inputs)
        windows = self.window.slide(self.window.pad(x))
        height, width, pictures = windows.shape[3:]
        rows = max(1, self.chunk // max(1, self.depth * width * pictures))
        live = self._over(windows) if rows >= height else self._by_rows(windows, rows)
        if self.outputs is None:
            out = live
        else:
            out = self.bias[:, None, None, None].expand(-1, height, width, pictures).contiguous()
            out[self.outputs] = live
        return out.permute(3, 0, 1, 2)

    def _over(self, windows: Tensor) -> Tensor:
        cells: Tensor = self.matrix(windows.reshape(self.depth, -1))
        return cells.view(-1, *windows.shape[3:])

    def _by_rows(self, windows: Tensor, rows: int) -> Tensor:
        out = windows.new_empty(self.rows, *windows.shape[3:])
        for top in range(0, out.shape[1], rows):
            out[:, top : top + rows] = self._over(windows[:, :, :, top : top + rows])
        return out


class MapCsr(Convolution):
    """The whole layer as one sparse matrix from input maps to output maps: no window is copied.

    Cost: one stored entry for each kept weight and each place it is used at.

    Args:
        layer: the convolution.
        size: height and width of the input. Inputs of another size go another way.
    """

    def __init__(self, layer: nn.Conv2d, size: tuple[int, int]) -> None:
        super().__init__()
        self.size, self.window = size, Window.of(layer)
        self.otherwise = Unfolded(layer, sparse=True)
        self.maps = (layer.out_channels, *self.window.outputs(*size))
        self.matrix = _map_matrix(layer, self.window, size)

    def batch(self, x: Tensor) -> Tensor:
        if tuple(x.shape[2:]) != self.size:
            return self.otherwise.batch(x)
        if x.shape[0] == 1:
            return self.matrix(x.reshape(-1)).view(1, *self.maps)  # type: ignore[no-any-return]
        maps: Tensor = self.matrix(x.permute(1, 2, 3, 0).reshape(-1, x.shape[0]))
        return maps.view(*self.maps, -1).permute(3, 0, 1, 2)


def map_entries(layer: nn.Conv2d, size: tuple[int, int]) -> int:
    """An upper bound of the entries that `MapCsr` stores."""
    height, width = Window.of(layer).outputs(*size)
    return int(layer.weight.count_nonzero()) * height * width


def _map_matrix(layer: nn.Conv2d, window: Window, size: tuple[int, int]) -> Csr:
    weight = layer.weight.detach()
    height, width = window.outputs(*size)
    o, c, i, j = (index[:, None, None] for index in weight.nonzero(as_tuple=True))
    y = torch.arange(height)[None, :, None]
    x = torch.arange(width)[None, None, :]
    above = y * window.stride[0] + i * window.dilation[0] - window.before[0]
    left = x * window.stride[1] + j * window.dilation[1] - window.before[1]
    inside = (above >= 0) & (above < size[0]) & (left >= 0) & (left < size[1])
    rows = ((o * height + y) * width + x)[inside]
    columns = ((c * size[0] + above) * size[1] + left)[inside]
    values = weight[o, c, i, j].expand_as(inside)[inside]
    rows, order = rows.sort(stable=True)
    bias = bias_of(layer).repeat_interleave(height * width)
    return Csr(rows, columns[order], values[order], bias, layer.in_channels * size[0] * size[1])
