"""What one site may keep."""

from __future__ import annotations

import math
from dataclasses import dataclass

from tighten.errors import PlanError

FREE_BITS = 32
"""Of a value that is a free float32."""


@dataclass(frozen=True)
class Share:
    """What one site may keep.

    Args:
        count: kept entries.
        of: all entries.
        bits: of a kept value; None leaves the values free.

    Raises:
        PlanError: numbers that cannot be.
    """

    count: int
    of: int
    bits: int | None = None

    def __post_init__(self) -> None:
        for key, low, high in (("of", 1, None), ("count", 1, self.of), ("bits", 1, 8)):
            value = getattr(self, key)
            if key == "bits" and value is None:
                continue
            if not isinstance(value, int) or isinstance(value, bool) or value < low or (high and value > high):
                limits = f"from {low} to {high}" if high else f"of at least {low}"
                raise PlanError(f"{key} = {value!r}: give a whole number {limits}")

    @property
    def density(self) -> float:
        """Kept entries / all entries."""
        return self.count / self.of

    @property
    def rate(self) -> float:
        """All entries / kept entries."""
        return self.of / self.count

    @property
    def coded_bits(self) -> float:
        """What positions, scattered evenly, and values take: log2 of (of choose count), and `bits` for each value."""
        return log2_choose(self.of, self.count) + self.count * (self.bits or FREE_BITS)


def log2_choose(n: int, k: int) -> float:
    """The bits that say which k of n entries are kept, all supports being as likely."""
    return (math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)) / math.log(2)
