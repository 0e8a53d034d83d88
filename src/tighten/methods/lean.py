"""Latent weights drawn to the levels that are short to write."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from tighten.codes import Indexed
from tighten.sets.part import Part, total


def leant(values: Tensor, table: Indexed, far: float, part: Part | None = None) -> Tensor:
    """A copy of `values`, moved towards zero, or, where levels are two signs, to the one that most of their row have.

    Args:
        values: latent weights, of pruned tensors those that are kept: they count as one row.
        table: their levels.
        far: by how much; 0 moves nothing.
        part: where processes share the tensor.
    """
    if not far:
        return values.clone()
    if len(table.steps) == 2:
        return values + far * _usual(values, part)
    return F.softshrink(values, far)


def _usual(values: Tensor, part: Part | None) -> Tensor:
    """The sign that most entries of each row have: -1, 1, or 0 where there are as many of both."""
    signs = values.sign()
    if values.ndim == 1:
        return total(part, signs.sum()).sign()
    rows = signs.flatten(1).sum(1)
    if part is not None:
        whole, here = rows.new_zeros(part.shape[0]), slice(part.start[0], part.start[0] + len(rows))
        whole[here] = rows
        rows = total(part, whole)[here]
    return rows.sign().view(-1, *[1] * (values.ndim - 1))
