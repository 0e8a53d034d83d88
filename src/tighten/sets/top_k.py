"""The largest entries of a tensor, an exact number of them whatever the ties."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from tighten.sets.counting import kth_largest, kth_largest_key
from tighten.sets.part import Part, total

SAMPLE = 1 << 16
"""Entries that tell about where the threshold lies."""
SURE = 5.0
"""Standard deviations on both sides of the sample's guess."""
BLOCK = 1 << 17
"""Entries looked at in one go: they stay in a processor's cache."""


def top_k(gain: Tensor, count: int, part: Part | None = None) -> Tensor:
    """Which entries are the `count` largest among the positive ones; of equal entries the first ones.

    Definition: the threshold is the exact `count`-th largest. In one process a sample tells between which two values
    it lies, which is then checked by counting, and it is selected among the few entries between them. Over
    several processes it is found by counting, and ties go by the row-major place in the whole tensor.

    Cost: one pass that reads and one that writes; a selection among the entries near the threshold.

    Args:
        gain: not negative where it matters, no NaN.
        count: how many of the whole tensor, at least 1.
        part: which part of the whole tensor `gain` is; None for all of it.

    Returns:
        A bool tensor of the same shape.
    """
    flat = gain.reshape(-1)
    if count >= (flat.numel() if part is None else math.prod(part.shape)):
        return gain > 0
    threshold = _kth_here(flat, count) if part is None else kth_largest(flat.clamp_min(0), count, part)
    if not float(threshold) > 0:
        return gain > 0
    kept = flat >= threshold
    if (surplus := int(total(part, kept.count_nonzero())) - count) > 0:
        _drop_last_ties(kept, flat == threshold, surplus, gain.shape, part)
    return kept.view(gain.shape)


def _drop_last_ties(kept: Tensor, ties: Tensor, surplus: int, shape: torch.Size, part: Part | None) -> None:
    index = ties.nonzero().squeeze(1)
    if part is None:
        kept[index[len(index) - surplus :]] = False
        return
    places = part.places(index, shape)
    last = kth_largest_key(places, surplus, math.prod(part.shape).bit_length(), part)
    kept[index[places >= last]] = False


def _kth_here(flat: Tensor, k: int) -> Tensor:
    """The exact k-th largest entry."""
    n = flat.numel()
    if n > 4 * SAMPLE:
        low, high = _bracket(flat, k)
        above, near = 0, []
        for block in flat.split(BLOCK if flat.device.type == "cpu" else n):
            over = block > high
            above += int(over.count_nonzero())
            near.append(block[(block >= low) ^ over])
        inside = torch.cat(near)
        # A sample of a tensor with a strange order may mislead: then all of it is searched.
        if above < k <= above + inside.numel():
            flat, k = inside, k - above
    # The smaller side is selected.
    if k <= flat.numel() // 2:
        return flat.topk(k, sorted=False).values.min()
    return flat.kthvalue(flat.numel() - k + 1).values


def _bracket(flat: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Two values between which the k-th largest entry very likely lies."""
    chance = torch.Generator().manual_seed(0)
    index = torch.randint(flat.numel(), (SAMPLE,), generator=chance).to(flat.device)
    sample = flat[index].sort(descending=True).values
    part = k / flat.numel()
    guess, spread = part * SAMPLE, SURE * math.sqrt(SAMPLE * part * (1 - part)) + SURE
    first, last = math.floor(guess - spread), math.ceil(guess + spread)
    high = sample[first] if first >= 0 else flat.new_tensor(math.inf)
    low = sample[last] if last < SAMPLE else flat.new_tensor(-math.inf)
    return low, high
