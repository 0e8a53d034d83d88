"""The values of a code: plain numbers, or indices into a table with its scales."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tighten.codecs.adaptive import adaptive, as_symbols
from tighten.codecs.coder import Coder

# What both formats have: no second copy of it.
from tighten.codecs.format1.values import MOST_LEVELS, check_indexed, run_lengths, value_dtype
from tighten.codecs.positions import Levels
from tighten.codecs.scalars import scalars
from tighten.codecs.steps import steps
from tighten.codes import Indexed
from tighten.errors import ArtifactError

__all__ = ["MOST_LEVELS", "Table", "check_indexed", "indices", "run_lengths", "table", "value_dtype"]
MOST_SIGNED = 64
"""Levels up to which an index is coded as sign and size."""


class Table:
    """The levels of a code, its scales, and its indices as signed places."""

    def __init__(self, levels: Tensor, scale: Tensor) -> None:
        self.levels, self.scale = levels, scale
        numbers = levels.double().numpy() if not levels.is_complex() else np.zeros(len(levels))
        self.order = np.argsort(numbers, kind="stable")
        self.below = int((numbers < 0).sum())
        self.has_zero = bool((numbers[self.order][self.below : self.below + 1] == 0).any())

    @property
    def signed(self) -> bool:
        return 1 < len(self.levels) <= MOST_SIGNED and not self.levels.is_complex()

    def of(self, sparse: bool) -> Levels:
        above = len(self.levels) - self.below - self.has_zero
        return Levels(sparse or self.has_zero, self.below, above)

    def places(self, index: NDArray[np.int64]) -> NDArray[np.int32]:
        """-1, -2 ... down the levels below zero, 1, 2 ... up those above."""
        rank = np.empty(len(self.order), dtype=np.int64)
        rank[self.order] = np.arange(len(self.order))
        place = rank[index] - self.below
        return (place if self.has_zero else np.where(place >= 0, place + 1, place)).astype(np.int32)

    def index(self, places: NDArray[np.int32]) -> Tensor:
        rank = places.astype(np.int64)
        if not self.has_zero:
            rank = np.where(rank > 0, rank - 1, rank)
        return as_index(self.order[rank + self.below], len(self.levels))


def table(coder: Coder, code: Indexed | None, of: torch.dtype, site: str) -> Table:
    """Levels and scales."""
    levels = coder.number(None if code is None else len(code.steps), "levels", MOST_LEVELS)
    runs = coder.number(None if code is None else len(code.scale), "runs")
    got = steps(coder, None if code is None else code.steps.detach().cpu(), of, levels)
    coder.claim(runs * of.itemsize)
    scale = scalars(coder, None if code is None else code.scale, of, (runs,))
    coder.mark("tables", site)
    return Table(got, scale)


def indices(coder: Coder, index: Tensor | None, count: int, levels: int) -> Tensor:
    """Indices by their frequencies."""
    if levels == 0 and count:
        raise ArtifactError("has entries but an empty table")
    given = None if index is None else as_symbols(index.detach().cpu().reshape(-1).numpy())
    return as_index(adaptive(coder, given, count, np.full(max(levels, 1), 0.5)), levels)


def as_index(index: NDArray[Any], levels: int) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(index)).to(torch.uint8 if levels <= 256 else torch.int32)
