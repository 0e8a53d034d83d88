"""A support cut into groups of equally many consecutive entries, as in N:M sparsity.

First how many entries each group keeps (of N:M sparsity nearly always N), then which: all choices of
that many are equally likely.
"""

from __future__ import annotations

import math
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from tighten.codecs.adaptive import adaptive, as_symbols
from tighten.codecs.coder import Coder
from tighten.errors import ArtifactError

Flat: TypeAlias = NDArray[np.bool_]

MOST_ENTRIES = 64
"""Entries of a group: its kept entries are coded one place at a time, for all groups at once."""


def by_groups(coder: Coder, flat: Flat | None, size: int, entries: int | None) -> Flat:
    """The flat support of so many entries in all, by groups of `entries`."""
    entries = 1 + coder.number(None if entries is None else entries - 1, "group", MOST_ENTRIES - 1)
    if size % entries:
        raise ArtifactError(f"a support of {size} entries cannot be cut into groups of {entries}")
    groups = size // entries
    table = None if flat is None else flat.reshape(groups, entries)
    sums = None if table is None else as_symbols(table.sum(axis=1))
    left = adaptive(coder, sums, groups, np.full(entries + 1, 0.5)).astype(np.int32)
    got = np.empty((groups, entries), dtype=np.bool_)
    for place in range(entries):
        chance = left / float(entries - place)
        bits = coder.bits(None if table is None else as_symbols(table[:, place]), chance)
        got[:, place] = bits
        left -= bits
        if ((left < 0) | (left > entries - place - 1)).any():
            raise ArtifactError("a group of a support does not keep as many entries as it says")
    return got.reshape(-1)


def best_group(flat: Flat, shape: tuple[int, ...]) -> int | None:
    """The group size that says most about the support, judged by entropies; None where none divides it.

    Tried are small powers of two and the stretches that the shape has, such as one kernel.
    """
    stretches = {math.prod(shape[axis:]) for axis in range(1, len(shape))}
    sizes = [n for n in sorted({2, 4, 8, 16, 32} | stretches) if 1 < n <= MOST_ENTRIES and flat.size % n == 0]
    return min(sizes, key=lambda n: _estimated_bits(flat, n), default=None)


def _estimated_bits(flat: Flat, entries: int) -> float:
    many = np.bincount(flat.reshape(-1, entries).sum(axis=1), minlength=entries + 1)
    used = many[many > 0]
    counts = float((used * np.log2(many.sum() / used)).sum())
    choices = [math.log2(math.comb(entries, kept)) for kept in range(entries + 1)]
    return counts + float(many @ np.array(choices))
