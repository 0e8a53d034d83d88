"""Sets that say which entries may differ from zero, and nothing about their values."""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import ClassVar

import torch
from torch import Tensor

from tighten import codes
from tighten.codes import Code, Dense, expand
from tighten.errors import SetError
from tighten.sets.base import Set
from tighten.sets.checks import usable


class SupportSet(Set):
    """Tensors that are zero outside a support, which is made of equal rectangular units.

    A subclass says how large a unit is and which units are kept. Every part of an allowed support must be
    allowed as well.

    Projection: exact where `keep` is: the squared distance is the sum of the squares that are dropped.
    """

    by_entry: ClassVar[bool] = False
    """Whether a unit is one entry in tensors of every shape."""

    @abstractmethod
    def unit(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape of one unit in a tensor of this shape; it divides the shape axis by axis.

        Raises:
            SetError: there is none.
        """

    @abstractmethod
    def keep(self, gain: Tensor) -> Tensor:
        """The allowed support with the largest total gain.

        A unit whose gain is not positive is never kept: it buys nothing, and would take a place in the
        next, smaller support. Ties go to the unit that comes first.

        Args:
            gain: float tensor, one entry per unit: how much the squared distance falls when it is kept.

        Returns:
            A bool tensor of the same shape.
        """

    def fit(self, x: Tensor) -> codes.Sparse:
        x = usable(self, x)
        unit = self.unit(tuple(x.shape))
        grid = self.keep(pool(x.double().square(), unit))
        return codes.Sparse(grid, unit, Dense(x[expand(grid, unit)]))

    def violations(self, code: Code) -> list[str]:
        try:
            grid = self.grid_of(code)
            allowed = int(self.keep(grid.double()).sum())
        except SetError as error:
            return [str(error)]
        wrong = []
        if (kept := int(grid.sum())) > allowed:
            what = "entries" if self.by_entry else "units"
            wrong.append(f"{kept} {what} kept, only {allowed} of them allowed by {self!r}")
        if not bool(torch.isfinite(code.dense()).all()):
            wrong.append("NaN or infinite values")
        return wrong

    def grid_of(self, code: Code) -> Tensor:
        """The units of this set that a code keeps: those of its support, or those that are not all zero.

        Raises:
            SetError: the code's shape has no such units, or its parts do not fit together.
        """
        unit = self.unit(code.shape)
        if not isinstance(code, codes.Sparse):
            return pool(code.dense() != 0, unit)
        if code.inner.shape != (code.kept,):
            raise SetError(f"{code.kept} entries kept, but values of shape {code.inner.shape}")
        return code.grid if code.unit == unit else pool(code.support, unit)


def pool(x: Tensor, unit: tuple[int, ...]) -> Tensor:
    """One entry per unit: the sum of its entries, or for a bool tensor whether one of them is set."""
    if math.prod(unit) == 1:
        return x
    split = [size for axis, u in zip(x.shape, unit, strict=True) for size in (axis // u, u)]
    inside = list(range(1, 2 * len(unit), 2))
    parts = x.reshape(split)
    return parts.any(dim=inside) if x.dtype == torch.bool else parts.sum(dim=inside)
