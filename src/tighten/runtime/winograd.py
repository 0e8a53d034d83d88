"""A dense convolution of stride one with fewer multiplications."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tighten.runtime.conv import Convolution
from tighten.runtime.live import bias_of
from tighten.runtime.window import Window

# Results of a tile along each axis, and where polynomials are evaluated besides infinity: first the points that keep
# rounding small.
_TILE = 3
_POINTS = (0.0, 1.0, -1.0, 0.5, -2.0, -0.5, 2.0)
LARGEST_KERNEL = len(_POINTS) + 2 - _TILE
# Numbers of transformed tiles that are worked on at a time: enough for products of matrices to pay.
_CHUNK = 2**20


class Winograd(Convolution):
    """The dense convolution by minimal filtering of tiles, with 3 x 3 results each.

    Definition: tiles and weights are polynomials, and their products are taken by values at n points. So tiles of n x n
    inputs, n = k + 2 for a kernel of k x k, and weights are transformed; n^2 products of matrices, from channels to
    channels, follow; and the values are transformed back.
    Cost: n^2 / 9 multiplications a kernel and result in place of k^2, a third for k = 3 and a quarter for k = 5, and
    the transforms. Rounding errors are five to ten times those of the direct sum.
    Source: Lavin and Gray, 1509.09308, section 4; Barabasz et al., 1803.10986, on the choice of points.

    Args:
        layer: a convolution of stride and dilation one, with a kernel of `LARGEST_KERNEL` at most.
    """

    def __init__(self, layer: nn.Conv2d) -> None:
        super().__init__()
        weight = layer.weight.detach()
        self.window = Window.of(layer)
        down, across = (_transforms(size) for size in self.window.kernel)
        at_points = torch.einsum("ai,bj,ocij->abco", down[1], across[1], weight.double())
        self.points = at_points.shape[:2]
        self.weight = at_points.flatten(0, 1).to(weight.dtype)
        self.into = torch.kron(down[0], across[0]).to(weight.dtype)
        self.back = torch.kron(down[2], across[2]).to(weight.dtype)
        self.bias = bias_of(layer)
        self.chunk = _CHUNK

    def batch(self, x: Tensor) -> Tensor:
        height, width = self.window.outputs(x.shape[2], x.shape[3])
        tiles = self._tiles(x.permute(0, 2, 3, 1), height, width)
        pictures, high, wide, channels = tiles.shape[2:]
        _, _, outputs = self.weight.shape
        out = x.new_empty(pictures, high, _TILE, wide, _TILE, outputs)
        rows = max(1, self.chunk // (len(self.weight) * pictures * wide * (channels + outputs)))
        for top in range(0, high, rows):
            values = self.into @ tiles[:, :, :, top : top + rows].reshape(len(self.into), -1)
            values = torch.bmm(values.view(len(self.into), -1, channels), self.weight)
            results = self.back @ values.view(len(self.into), -1)
            results = results.view(_TILE, _TILE, pictures, -1, wide, outputs).permute(2, 3, 0, 4, 1, 5)
            torch.add(results, self.bias, out=out[:, top : top + rows])
        return out.view(pictures, high * _TILE, wide * _TILE, outputs)[:, :height, :width].permute(0, 3, 1, 2)

    def _tiles(self, x: Tensor, height: int, width: int) -> Tensor:
        """Tiles that overlap, without copying any. Shape: `[N, H, W, C]` to `[n, n, N, tiles, tiles, C]`."""
        (top, left), (n_down, n_across) = self.window.before, self.points
        tall, broad = (_TILE * (-(-size // _TILE) - 1) + n for size, n in ((height, n_down), (width, n_across)))
        x = F.pad(x, (0, 0, left, broad - left - x.shape[2], top, tall - top - x.shape[1]))
        return x.unfold(1, n_down, _TILE).unfold(2, n_across, _TILE).permute(4, 5, 0, 1, 2, 3)


def _transforms(kernel: int) -> tuple[Tensor, Tensor, Tensor]:
    """What brings a row of a tile, a row of weights, and their products at the points, to where each belongs.

    Source: a product of polynomials by its values is `V^-1 ((V_k g) * (V_m y))`; its transpose is the filter.
    """
    count = _TILE + kernel - 1
    return _values(count, count).inverse().t(), _values(count, kernel), _values(count, _TILE).t()


def _values(count: int, size: int) -> Tensor:
    """The matrix from coefficients to values at the first points and at infinity. Shape: `[count, size]`."""
    at = torch.vander(torch.tensor(_POINTS[: count - 1], dtype=torch.float64), size, increasing=True)
    return torch.cat([at, torch.eye(size, dtype=torch.float64)[-1:]])
