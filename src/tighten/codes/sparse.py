"""The code of a tensor that is zero outside a support."""

from __future__ import annotations

import math
from collections.abc import MutableMapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary

from tighten.codes.dense import Dense
from tighten.codes.indexed import Indexed

_PLACES: MutableMapping[Tensor, tuple[tuple[int, ...] | None, Tensor]] = WeakTensorKeyDictionary()
"""By grid, its unit and the places it keeps: codes that follow each other in training share their grid."""


@dataclass(frozen=True, eq=False)
class Sparse:
    """Zero, except on a support made of equal rectangular units.

    A unit of all ones is a single entry (unstructured); a unit of `(1, C, h, w)` is a whole filter.

    Args:
        grid: bool tensor, one entry per unit: is it kept?
        unit: shape of one unit, as many axes as `grid`; the tensor's shape is `grid.shape * unit`.
        inner: the kept entries, one-dimensional, in row-major order of the whole tensor.
    """

    grid: Tensor
    unit: tuple[int, ...]
    inner: Dense | Indexed

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(g * u for g, u in zip(self.grid.shape, self.unit, strict=True))

    @property
    def support(self) -> Tensor:
        """Bool tensor of the full shape: which entries are kept."""
        return expand(self.grid, self.unit)

    @property
    def places(self) -> Tensor:
        """`[kept]`, int64: which entries are kept, counted in row-major order; found once for each grid."""
        unit, places = _PLACES.get(self.grid, (None, self.grid))
        if unit != self.unit:
            places = self.support.reshape(-1).nonzero().view(-1)
            _PLACES[self.grid] = self.unit, places
        return places

    @property
    def kept(self) -> int:
        """How many entries are kept."""
        return int(self.grid.count_nonzero()) * math.prod(self.unit)  # a sum would widen the grid first

    @property
    def dtype(self) -> torch.dtype:
        return self.inner.dtype

    def dense(self) -> Tensor:
        """The tensor that this code describes."""
        values = self.inner.dense()
        out = torch.zeros(self.shape, dtype=values.dtype, device=values.device)
        # Small floats have hardly any operations of their own; an index of the kept entries would be slower, and large.
        small = values.dtype.itemsize == 1
        target, source = (out.view(torch.uint8), values.view(torch.uint8)) if small else (out, values)
        target.masked_scatter_(self.support, source)
        return out

    def bits(self) -> float:
        """Bits of the kept values and of a support that is scattered evenly: log2 of all its choices."""
        n, k = self.grid.numel(), int(self.grid.count_nonzero())
        choices = math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
        return self.inner.bits() + choices / math.log(2)


def expand(grid: Tensor, unit: tuple[int, ...]) -> Tensor:
    """The grid with each entry repeated to the size of one unit."""
    for axis, size in enumerate(unit):
        if size != 1:
            grid = grid.repeat_interleave(size, dim=axis)
    return grid
