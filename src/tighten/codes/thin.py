"""A code with fewer kept entries."""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor

from tighten.codes.dense import Dense
from tighten.codes.sparse import Sparse


def thinned(code: Sparse, stays: Tensor) -> Sparse:
    """The code without some of its entries; the others are as they were, bit for bit.

    Args:
        code: its units are single entries.
        stays: bool tensor, one entry for each kept one, in row-major order.
    """
    assert math.prod(code.unit) == 1
    grid = code.grid.clone()
    grid[code.grid] = stays
    inner = code.inner
    if isinstance(inner, Dense):
        return replace(code, grid=grid, inner=Dense(inner.values[stays]))
    runs = torch.arange(len(inner.counts), device=stays.device).repeat_interleave(inner.counts.to(stays.device))
    counts = torch.bincount(runs[stays], minlength=len(inner.counts)).to(inner.counts)
    return replace(code, grid=grid, inner=replace(inner, index=inner.index[stays], counts=counts))
