"""Sets that say which entries may differ from zero, and nothing about their values."""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from tighten import codes
from tighten.codes import Code, Dense, expand
from tighten.errors import SetError
from tighten.sets.base import Set
from tighten.sets.checks import usable
from tighten.sets.part import Part, largest, total


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
    def keep(self, gain: Tensor, part: Part | None = None) -> Tensor:
        """The allowed support with the largest total gain.

        A unit whose gain is not positive is never kept: it buys nothing, and would take a place in the
        next, smaller support. Ties go to the unit that comes first.

        Args:
            gain: float tensor, one entry per unit: how much the squared distance falls when it is kept, or what
                orders the units in the same way.
            part: which part of all units these are; None for all.

        Returns:
            A bool tensor of the same shape.
        """

    def fit(self, x: Tensor, part: Part | None = None) -> codes.Sparse:
        x = usable(self, x, part)
        units = self.units_of(tuple(x.shape), x.device, part)
        # Magnitudes order single entries as their squares do.
        alone = units.shared is None and math.prod(units.unit) == 1
        grid = units.keep(x.abs() if alone else units.pool(x.double().square()))
        return codes.Sparse(grid, units.unit, Dense(x[expand(grid, units.unit)]))

    def units_of(self, shape: tuple[int, ...], device: torch.device, part: Part | None = None) -> Units:
        """How this set cuts a tensor of this shape, or a part of a larger tensor, into units.

        Raises:
            SetError: it cannot, or the parts cut units in two that do not span the whole axis.
        """
        if part is None:
            return Units(self, self.unit(shape), None, None)
        unit = self.unit(part.shape)
        spanned = frozenset(axis for axis in part.cut if unit[axis] == part.shape[axis] > 1)
        whole = tuple(shape[axis] if axis in spanned else size for axis, size in enumerate(unit))
        split = [axis for axis in part.cut - spanned if shape[axis] % unit[axis] or part.start[axis] % unit[axis]]
        if bool(largest(part, torch.tensor(len(split), device=device))):
            raise SetError(
                f"{self!r} cannot work on a tensor of shape {part.shape} that processes share along axis "
                f"{min(part.cut)}: they cut its units in two; "
                f"shard along another axis, or choose units that fit the shards"
            )
        of_units = part.of_units(unit)
        if spanned == part.cut:
            return Units(self, whole, part, None)
        if spanned:
            raise SetError(f"{self!r} cannot work on a tensor that is cut along the axes {sorted(part.cut)}: cut one")
        return Units(self, whole, None, of_units)

    def violations(self, code: Code, part: Part | None = None) -> list[str]:
        try:
            grid, units = self._grid_of(code, part)
            allowed = int(total(units.apart, units.keep(grid.double()).sum()))
        except SetError as error:
            return [str(error)]
        wrong = []
        if (kept := int(total(units.apart, grid.sum()))) > allowed:
            what = "entries" if self.by_entry else "units"
            wrong.append(f"{kept} {what} kept, only {allowed} of them allowed by {self!r}")
        if not bool(torch.isfinite(code.dense()).all()):
            wrong.append("NaN or infinite values")
        return wrong

    def _grid_of(self, code: Code, part: Part | None) -> tuple[Tensor, Units]:
        """The units of this set that a code keeps: those of its support, or those that are not all zero.

        Raises:
            SetError: the code's shape has no such units, or its parts do not fit together.
        """
        units = self.units_of(code.shape, _device(code), part)
        if not isinstance(code, codes.Sparse):
            return units.pool(code.dense() != 0), units
        if code.inner.shape != (code.kept,):
            raise SetError(f"{code.kept} entries kept, but values of shape {code.inner.shape}")
        return code.grid if code.unit == units.unit else units.pool(code.support), units


@dataclass(frozen=True)
class Units:
    """The units of one tensor, or of the part of it that a process holds.

    Args:
        constraint: the set whose units they are.
        unit: the shape of one here.
        shared: the part, where every process has a piece of each unit.
        apart: the part counted in units, where each process has units of its own.
    """

    constraint: SupportSet
    unit: tuple[int, ...]
    shared: Part | None
    apart: Part | None

    def pool(self, x: Tensor) -> Tensor:
        """The sum over each whole unit."""
        pooled = pool(x, self.unit)
        if x.dtype == torch.bool:
            return total(self.shared, pooled.to(torch.int64)) > 0
        return total(self.shared, pooled)

    def keep(self, gain: Tensor) -> Tensor:
        """The allowed support with the largest total gain."""
        return self.constraint.keep(gain) if self.apart is None else self.constraint.keep(gain, self.apart)


def _device(code: Code) -> torch.device:
    match code:
        case Dense():
            return code.values.device
        case codes.Indexed():
            return code.index.device
        case codes.Sparse():
            return code.grid.device


def pool(x: Tensor, unit: tuple[int, ...]) -> Tensor:
    """One entry per unit: the sum of its entries, or for a bool tensor whether one of them is set."""
    if math.prod(unit) == 1:
        return x
    split = [size for axis, u in zip(x.shape, unit, strict=True) for size in (axis // u if u else 1, u)]
    inside = list(range(1, 2 * len(unit), 2))
    parts = x.reshape(split)
    return parts.any(dim=inside) if x.dtype == torch.bool else parts.sum(dim=inside)
