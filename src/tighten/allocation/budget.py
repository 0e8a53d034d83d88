"""What the whole network may spend."""

from __future__ import annotations

from dataclasses import dataclass

from tighten.errors import PlanError


@dataclass(frozen=True)
class Budget:
    """A number of kept weights for all open sites together; give one of the two.

    Args:
        weights: kept weights.
        rate: all weights of the open sites divided by the kept ones (246 for "246x").
    """

    weights: int | None = None
    rate: float | None = None

    def __post_init__(self) -> None:
        if (self.weights is None) == (self.rate is None):
            raise PlanError(f"a budget needs either weights or rate: {self!r}; write Budget(rate=30)")
        if self.weights is not None and self.weights < 1:
            raise PlanError(f"a budget of {self.weights} weights keeps nothing: give at least 1")
        if self.rate is not None and not self.rate >= 1:
            raise PlanError(f"a rate of {self.rate} would keep more weights than there are: give 1 or more")

    def count(self, total: int) -> int:
        """How many of `total` weights may be kept."""
        count = self.weights if self.weights is not None else int(total / (self.rate or 1.0) + 1e-9)
        if not 1 <= count <= total:
            raise PlanError(f"{self!r} asks for {count} of {total} weights: choose between 1 and {total}")
        return count
