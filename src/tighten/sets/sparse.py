"""Unstructured sparsity."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tighten.sets.counted import CountedSupport


@dataclass(frozen=True, repr=False)
class Sparse(CountedSupport):
    """Tensors with a limited number of entries that are not zero.

    Definition: {Z : at most `count` entries are not 0}, or the part `density` of all entries.
    Projection: exact; the largest magnitudes. Of equal magnitudes the first in row-major order are kept.
    Shape: any.
    Cost: one selection (no sort).
    Source: Ye et al., arXiv 1903.09769.

    `Sparse()` is open: a stage's budget fills in the count, or `with_count` does.

    Args:
        count: kept entries.
        density: kept entries / all entries.
    """

    units: ClassVar[str] = "entries"
    may_be_open: ClassVar[bool] = True
    by_entry: ClassVar[bool] = True

    def unit(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return (1,) * len(shape)
