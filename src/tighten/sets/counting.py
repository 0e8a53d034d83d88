"""The k-th largest of numbers that lie in several processes, found by counting."""

from __future__ import annotations

import torch
from torch import Tensor

from tighten.sets.part import Part, total

DIGIT = 11
"""Bits looked at in one round."""
PATTERNS = {
    torch.float64: torch.int64,
    torch.float32: torch.int32,
    torch.bfloat16: torch.int16,
    torch.float16: torch.int16,
}


def kth_largest(values: Tensor, k: int, part: Part | None) -> Tensor:
    """The k-th largest of the values of all parts, which are not negative.

    Definition: of numbers that are not negative the larger one has the larger bit pattern. The pattern of the k-th
    largest is found digit by digit from the top: all parts count how often each digit occurs among the values that
    still can be it, and add up the counts. No value leaves its process.

    Cost: one pass over the values and ever shorter ones over what is left; for each `DIGIT` bits of a value one
    sum over the parts of 2^DIGIT counts.

    Args:
        values: one-dimensional, of this part.
        k: from 1 to the number of values of all parts.
        part: which part this is; None for all there is.
    """
    kind = PATTERNS[values.dtype]
    found = kth_largest_key((values + 0.0).view(kind), k, torch.iinfo(kind).bits - 1, part)
    return torch.tensor([found], dtype=kind, device=values.device).view(values.dtype)[0]


def kth_largest_key(keys: Tensor, k: int, bits: int, part: Part | None) -> int:
    """The same for whole numbers below 2^bits."""
    found, shift = 0, bits
    while shift:
        width = min(DIGIT, shift)
        shift -= width
        digit = keys >> shift
        counts = total(part, torch.bincount(digit, minlength=1 << width))
        above = counts.flip(0).cumsum(0)
        place = int(torch.searchsorted(above, k))
        k -= int(above[place] - counts.flip(0)[place])
        mine = (1 << width) - 1 - place
        keys = keys[digit == mine] - (mine << shift)
        found += mine << shift
    return found
