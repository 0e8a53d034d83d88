"""The largest entries of a tensor, an exact number of them whatever the ties."""

from __future__ import annotations

from torch import Tensor


def top_k(gain: Tensor, count: int) -> Tensor:
    """Which entries are the `count` largest among the positive ones; of equal entries the first ones.

    Cost: one selection, no sort.

    Returns:
        A bool tensor of the same shape.
    """
    flat = gain.reshape(-1)
    positive = flat > 0
    found = int(positive.sum())
    if found <= count:
        return positive.view(gain.shape)
    # The smaller side is selected: the threshold is the least of the largest, or the count-th from below.
    if count <= flat.numel() // 2:
        threshold = flat.topk(count, sorted=False).values.min()
    else:
        threshold = flat.kthvalue(flat.numel() - count + 1).values
    kept = flat > threshold
    ties = (flat == threshold).nonzero().squeeze(1)
    kept[ties[: count - int(kept.sum())]] = True
    return kept.view(gain.shape)
