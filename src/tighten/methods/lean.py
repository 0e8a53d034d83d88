"""Latent weights drawn to the levels that are short to write."""

from __future__ import annotations

from torch import Tensor

from tighten.codes import Indexed
from tighten.sets.part import Part, total


def lean(values: Tensor, table: Indexed, far: Tensor, part: Part | None = None) -> None:
    """`values` moved in place towards zero, or, where the levels are two signs, to the one that most of their row have.

    Args:
        values: latent weights, of pruned tensors those that are kept: they count as one row.
        table: their levels.
        far: by how much, one number.
        part: where processes share the tensor.
    """
    if len(table.steps) == 2:
        values.add_(_usual(values, part) * far)
    else:
        values.sub_(values.clamp(-far, far))


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
