"""The largest entries of a tensor, an exact number of them whatever the ties."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from tighten.sets.counting import kth_largest, kth_largest_key
from tighten.sets.part import Part, total

SAMPLE = 1 << 16
"""Entries that tell about where the threshold lies."""
SURE = 5.0
"""Standard deviations on both sides of the sample's guess."""
NUMBERS = (torch.float32, torch.float64)
BLOCK = 1 << 17
"""Entries looked at in one go: they stay in a processor's cache."""


def top_k(gain: Tensor, count: int, part: Part | None = None) -> Tensor:
    """Which entries are the `count` largest among the positive ones; of equal entries the first ones.

    Definition: the threshold is the exact `count`-th largest. In one process a sample tells between which two values
    it lies, which is then checked by counting, and it is selected among the few entries between them. Over
    several processes, and on other devices than processors, it is found by counting, and ties go by the row-major
    place in the whole tensor.

    Cost: one pass that reads and writes, and a selection among the entries near the threshold.

    Args:
        gain: not negative where it matters, no NaN.
        count: how many of the whole tensor, at least 1.
        part: which part of the whole tensor `gain` is; None for all of it.

    Returns:
        A bool tensor of the same shape.
    """
    flat = gain.detach().reshape(-1)
    if count >= (flat.numel() if part is None else math.prod(part.shape)):
        return gain > 0
    large = flat.numel() > 4 * SAMPLE
    if part is None and large and flat.device.type == "cpu" and flat.dtype in NUMBERS:
        kept = _by_sample(flat, count)
        if kept is not None:
            return kept.view(gain.shape)
    if part is None and not (large and flat.device.type != "cpu"):
        threshold = _by_selection(flat, count)
    else:
        threshold = kth_largest(flat.clamp_min(0), count, part)
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


def _by_selection(flat: Tensor, k: int) -> Tensor:
    """The exact k-th largest entry; the smaller side is selected."""
    if k <= flat.numel() // 2:
        return flat.topk(k, sorted=False).values.min()
    return flat.kthvalue(flat.numel() - k + 1).values


def _by_sample(flat: Tensor, k: int) -> Tensor | None:
    """The mask of the k largest; None where the sample of a tensor with a strange order misled."""
    low, high = _bracket(flat, k)
    sizes, kept, above, places = flat.numpy(), torch.empty(flat.shape, dtype=torch.bool), 0, []
    mask = kept.numpy()
    for at in range(0, len(sizes), BLOCK):
        block, over = sizes[at : at + BLOCK], mask[at : at + BLOCK]
        np.greater(block, high, out=over)
        above += int(np.count_nonzero(over))
        places.append(np.flatnonzero((block >= low) != over) + at)
    near = np.concatenate(places)
    if not above < k <= above + len(near):
        return None
    values = sizes[near]
    threshold = np.partition(values, len(values) - (k - above))[len(values) - (k - above)]
    if not threshold > 0:
        return None
    larger = near[values > threshold]
    mask[larger] = True
    mask[near[values == threshold][: k - above - len(larger)]] = True
    return kept


def _bracket(flat: Tensor, k: int) -> tuple[np.floating, np.floating]:
    """Two values between which the k-th largest entry very likely lies."""
    chance = torch.Generator().manual_seed(0)
    sample = flat[torch.randint(flat.numel(), (SAMPLE,), generator=chance)].sort(descending=True).values.numpy()
    part = k / flat.numel()
    guess, spread = part * SAMPLE, SURE * math.sqrt(SAMPLE * part * (1 - part)) + SURE
    first, last = math.floor(guess - spread), math.ceil(guess + spread)
    high = sample[first] if first >= 0 else sample.dtype.type(np.inf)
    low = sample[last] if last < SAMPLE else sample.dtype.type(-np.inf)
    return low, high
