"""Sparsity in whole filters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tighten.sets.counted import CountedSupport


@dataclass(frozen=True, repr=False)
class FilterSparse(CountedSupport):
    """Tensors with a limited number of outputs (axis 0) that are not zero.

    Definition: at most `count` slices along axis 0 (filters of a convolution, rows of a matrix), or the
    part `density` of them, are not 0.
    Projection: exact; the slices with the largest sums of squares, of equal ones the first.
    Shape: any.
    Cost: one selection (no sort).
    Source: filter pruning in Zhang et al., "StructADMM", arXiv 1807.11091.

    Args:
        count: kept filters.
        density: kept filters / all filters.
    """

    units: ClassVar[str] = "filters"

    def unit(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return (1, *shape[1:])
