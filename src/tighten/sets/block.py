"""Sparsity in blocks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tighten.errors import SetError
from tighten.sets.checks import whole
from tighten.sets.counted import CountedSupport


@dataclass(frozen=True, repr=False)
class BlockSparse(CountedSupport):
    """Tensors with a limited number of blocks that are not zero.

    Definition: axes 0 and 1 (outputs and inputs) are cut into blocks of the given size; convolution
    kernels stay whole. At most `count` blocks, or the part `density` of all blocks, are not 0.
    Projection: exact; the blocks with the largest sums of squares, of equal ones the first.
    Shape: at least two axes; the block's sizes divide the first two.
    Cost: one selection (no sort).

    Args:
        block: outputs and inputs of one block.
        count: kept blocks.
        density: kept blocks / all blocks.
    """

    block: tuple[int, int]

    units: ClassVar[str] = "blocks"

    def __post_init__(self) -> None:
        if not isinstance(self.block, tuple) or len(self.block) != 2:
            raise SetError(f"block={self.block!r} in {self!r}: give two sizes, such as block=(4, 4)")
        for size in self.block:
            whole(self, "block", size, 1)
        super().__post_init__()

    def unit(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        if len(shape) < 2:
            raise SetError(f"{self!r} needs a tensor with at least two axes, not shape {shape}: leave the site out")
        for axis, size in enumerate(self.block):
            if shape[axis] % size:
                raise SetError(
                    f"{self!r} cannot cut axis {axis} of shape {shape} into blocks of {size}: "
                    f"choose a size that divides {shape[axis]}"
                )
        return (*self.block, *shape[2:])
