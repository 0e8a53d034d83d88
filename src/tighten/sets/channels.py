"""Sparsity in whole input channels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tighten.errors import SetError
from tighten.sets.counted import CountedSupport


@dataclass(frozen=True, repr=False)
class ChannelSparse(CountedSupport):
    """Tensors with a limited number of inputs (axis 1) that are not zero.

    Definition: at most `count` slices along axis 1 (input channels of a convolution, columns of a matrix),
    or the part `density` of them, are not 0.
    Projection: exact; the slices with the largest sums of squares, of equal ones the first.
    Shape: at least two axes.
    Cost: one selection (no sort).
    Source: channel pruning in Zhang et al., "StructADMM", arXiv 1807.11091.

    Args:
        count: kept channels.
        density: kept channels / all channels.
    """

    units: ClassVar[str] = "channels"

    def unit(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        if len(shape) < 2:
            raise SetError(f"{self!r} needs a tensor with at least two axes, not shape {shape}: leave the site out")
        return (shape[0], 1, *shape[2:])
