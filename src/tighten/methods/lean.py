"""Latent weights drawn to the levels that are short to write."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from tighten.codes import Indexed
from tighten.sets.part import Part, total


def leant(values: Tensor, table: Indexed, far: float, usual: Tensor | None = None) -> Tensor:
    """A copy of latent weights, moved by `far` towards the usual signs, or else to zero, where that is a level."""
    if far and usual is not None:
        return values + far * usual
    if far and bool((table.steps == 0).any()):
        return F.softshrink(values, far)
    return values.clone()


def usual_signs(weights: Tensor, table: Indexed, part: Part | None = None) -> Tensor | None:
    """Where the levels are two signs, the one that most of each row have: -1, 1, or 0 where there are as many of both.

    Args:
        weights: on their levels; of pruned tensors those that are kept, `[kept]`: they count as one row.
        table: the levels.
        part: where processes share the tensor.

    Returns:
        A tensor that can be added to the weights; None where there are other levels.
    """
    if len(table.steps) != 2 or table.steps.sum():
        return None
    if weights.ndim == 1:
        return total(part, weights.sign().sum()).sign()
    # The weights are signs times a level; what sums of floats leave of a tie is rounded away.
    rows = weights.flatten(1).sum(1).div_(table.scale * table.steps.max()).round_()
    if part is not None:
        whole, here = rows.new_zeros(part.shape[0]), slice(part.start[0], part.start[0] + len(rows))
        whole[here] = rows
        rows = total(part, whole)[here]
    return rows.sign().view(-1, *[1] * (weights.ndim - 1))
