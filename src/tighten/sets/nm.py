"""N:M sparsity."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from tighten.errors import SetError
from tighten.sets.checks import whole
from tighten.sets.part import Part
from tighten.sets.support import SupportSet


@dataclass(frozen=True, repr=False)
class NMSparse(SupportSet):
    """Tensors with at most N entries that are not zero in every M consecutive ones.

    Definition: each output's weights (axis 0), all further axes flattened in row-major order, are cut into
    groups of `m`; each group has at most `n` entries that are not 0.
    Projection: exact; the largest magnitudes of each group, of equal ones the first.
    Shape: at least two axes; `m` divides the number of weights per output.
    Cost: a sort of each group.
    Source: the 2:4 pattern of Mishra et al., "Accelerating Sparse Deep Neural Networks", arXiv 2104.08378.

    Args:
        n: entries kept in each group.
        m: entries of a group.
    """

    n: int
    m: int

    by_entry: ClassVar[bool] = True

    def __post_init__(self) -> None:
        whole(self, "m", self.m, 1)
        whole(self, "n", self.n, 1, self.m)

    def unit(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        if len(shape) < 2:
            raise SetError(f"{self!r} needs a tensor with at least two axes, not shape {shape}: leave the site out")
        row = math.prod(shape[1:])
        if row % self.m:
            raise SetError(
                f"{self!r} cannot cut the {row} weights per output of shape {shape} into groups of {self.m}: "
                f"choose an m that divides {row}"
            )
        return (1,) * len(shape)

    def keep(self, gain: Tensor, part: Part | None = None) -> Tensor:
        if part is not None and part.cut != {0}:
            raise SetError(
                f"{self!r} cannot work on a tensor of shape {part.shape} that processes share along axis "
                f"{max(part.cut)}: its groups are cut in two; shard along axis 0, as `fully_shard` does by itself"
            )
        groups = gain.reshape(-1, self.m)
        largest = groups.sort(dim=1, descending=True, stable=True).indices[:, : self.n]
        kept = torch.zeros_like(groups, dtype=torch.bool).scatter_(1, largest, True)
        return (kept & (groups > 0)).view(gain.shape)
