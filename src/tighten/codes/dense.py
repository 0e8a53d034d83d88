"""The code of a tensor about which nothing is known."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Dense:
    """Plain values, each stored as it is.

    Args:
        values: tensor of any shape and dtype.
    """

    values: Tensor

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.values.shape)

    @property
    def dtype(self) -> torch.dtype:
        return self.values.dtype

    def dense(self) -> Tensor:
        """The tensor that this code describes."""
        return self.values

    def bits(self) -> float:
        """Bits of the plain representation."""
        return float(self.values.numel() * self.values.element_size() * 8)
