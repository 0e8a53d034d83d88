"""Supports with a limit on how many units are kept."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Self

from torch import Tensor

from tighten.errors import SetError
from tighten.sets.checks import number, whole
from tighten.sets.part import Part
from tighten.sets.support import SupportSet
from tighten.sets.top_k import top_k


@dataclass(frozen=True, repr=False, kw_only=True)
class CountedSupport(SupportSet):
    """At most `count` units, or the part `density` of all; one of the two is given.

    Projection: exact; the units with the largest sums of squares. Of equal units the first are kept.
    Cost: one selection (no sort).

    Args:
        count: units kept, at least 1.
        density: kept units / all units, above 0 and at most 1; rounded down to a whole number of units,
            but never below 1.
    """

    count: int | None = None
    density: float | None = None

    units: ClassVar[str] = "units"
    """What messages call the units."""
    may_be_open: ClassVar[bool] = False
    """Whether both may be left out, for a budget to fill in."""

    def __post_init__(self) -> None:
        if self.count is not None and self.density is not None:
            raise SetError(f"{self!r} has a count and a density: give one of the two")
        if self.count is None and self.density is None and not self.may_be_open:
            raise SetError(f"{self!r} does not say how much is kept: give count= or density=")
        if self.count is not None:
            whole(self, "count", self.count, 1)
        if self.density is not None:
            number(self, "density", self.density)
            if not 0 < self.density <= 1:
                raise SetError(
                    f"density={self.density!r} in {self!r}: it is kept / all, so give a number above 0 and at most 1"
                )

    @property
    def is_open(self) -> bool:
        return self.count is None and self.density is None

    def with_count(self, count: int) -> Self:
        return type(self)(count=count) if self.is_open else self

    def count_of(self, total: int) -> int:
        """How many of `total` units may be kept.

        Raises:
            SetError: the set is open, or asks for more than there are.
        """
        if self.density is not None:
            # The small term undoes rounding: 0.29 * 100 is less than 29 in floating point.
            return max(1, math.floor(self.density * total + 1e-9))
        if self.count is None:
            raise SetError(
                f"{self!r} does not say how much is kept: give count=, density= or put a budget on the stage"
            )
        if self.count > total:
            raise SetError(
                f"{self!r} cannot keep {self.count} of {total} {self.units}: give at most {total}, or a density"
            )
        return self.count

    def keep(self, gain: Tensor, part: Part | None = None) -> Tensor:
        every = gain.numel() if part is None else math.prod(part.shape)
        return top_k(gain, self.count_of(every), part)
