"""The best scale q of a table of steps t: the minimiser of sum_i min_t (|x_i| - q t)^2.

For given assignments t_i the sum falls from sum x^2 by 2 q a - q^2 b with a = sum |x_i| t_i and
b = sum t_i^2. It is lowest at q = a / b, where it has fallen by a^2 / b. All functions take `sizes`, the
magnitudes, rising, and `steps`, not negative and rising, both in float64; and the part of a larger tensor whose
magnitudes these are, where processes share one.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from tighten.sets.part import Part, gathered, largest, total

EDGES = 1024
"""Scales looked at in one round."""
FEW = 1 << 14
"""Events that are looked at one by one."""
ROUNDS = 12
SMALLEST = 1e-150


@dataclass(frozen=True, eq=False)
class _Intervals:
    """Ranges of scales, with the sums of the best assignment at their upper ends."""

    high: Tensor
    low: Tensor
    a: Tensor
    b: Tensor


def exact_scale(sizes: Tensor, steps: Tensor, part: Part | None = None) -> float:
    """The best scale.

    As q falls from infinity, entry i moves from step t to the next, t', where q (t + t') / 2 = |x_i|. Between two
    such events all assignments stay, so that the best q is a / b after one of the events. Ranges of scales that cannot
    hold the best one are left out, the others cut into smaller ones, until so few events are left that each
    is looked at.

    Cost: some searches in `sizes`, and a sort of the last events.
    """
    low, high = scale_limits(sizes, steps, part)
    if high == 0:
        return 0.0
    prefix = torch.cat([sizes.new_zeros(1), sizes.cumsum(0)])
    best, scale = -1.0, 0.0
    edges = sizes.new_tensor([[high, low]])
    for _ in range(ROUNDS):
        sums = torch.stack([*_sums(sizes, prefix, steps, edges), _passed(sizes, steps, edges)])
        a, b, events = total(part, sums)
        best, scale = max((best, scale), _best(a, b))
        alive = (_bound(edges, a, b) >= best * (1 - 1e-12)) & (events.diff() > 0)
        left = _Intervals(edges[:, :-1][alive], edges[:, 1:][alive], a[:, :-1][alive], b[:, :-1][alive])
        if float(events.diff()[alive].sum()) <= FEW:
            break
        places = torch.linspace(0, 1, max(4, EDGES // len(left.high)), dtype=sizes.dtype, device=sizes.device)
        edges = left.high[:, None] * (left.low / left.high)[:, None] ** places
        edges[:, -1] = left.low
    return max((best, scale), _best_event(sizes, steps, left, part))[1]


def _bound(edges: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """What no fall in the ranges between neighbouring scales is above.

    With p = 1 / q the fall is h(p) / p^2, and h, the sum of max_t (2 |x| t p - t^2), is convex: in a range it is not
    above the straight line between its ends.
    """
    p = 1 / edges
    h = 2 * a * p - b
    slope = torch.nan_to_num(h.diff() / p.diff())
    start = h[:, :-1] - slope * p[:, :-1]
    top = torch.nan_to_num(-2 * start / slope).clamp(p[:, :-1], p[:, 1:])
    ends = h / p.square()
    return torch.stack([ends[:, :-1], ends[:, 1:], (start + slope * top) / top.square()]).amax(0)


def _best_event(sizes: Tensor, steps: Tensor, within: _Intervals, part: Part | None) -> tuple[float, float]:
    """The largest fall after one of the events in some intervals, and its scale."""
    middles = (steps[1:] + steps[:-1]) / 2
    begins, ends = (torch.searchsorted(sizes, q[:, None] * middles) for q in (within.low, within.high))
    lengths = (ends - begins).flatten()
    owner = torch.arange(lengths.numel(), device=sizes.device).repeat_interleave(lengths)
    before = (lengths.cumsum(0) - lengths)[owner]
    x = sizes[begins.flatten()[owner] + torch.arange(len(owner), device=sizes.device) - before]
    # Of entries that are equal only what they sum to matters: events at one scale happen together.
    pair, times = torch.stack([owner.to(sizes.dtype), x]).unique_consecutive(dim=1, return_counts=True)
    owner, x = pair[0].long(), pair[1]
    interval, step = owner // max(1, len(middles)), owner % max(1, len(middles))
    more_a = x * steps.diff()[step] * times if len(x) else x
    more_b = steps.square().diff()[step] * times if len(x) else x
    at = x / middles[step] if len(x) else x
    table = gathered(part, torch.stack([interval.to(x), at, more_a, more_b], 1).flatten()).view(-1, 4)
    table = table[table[:, 1].argsort(descending=True, stable=True)]
    table = table[table[:, 0].argsort(stable=True)]
    if not len(table):
        return -1.0, 0.0
    interval = table[:, 0].long()
    sums = table[:, 2:].cumsum(0)
    first = torch.searchsorted(interval, interval)
    base = sums[first] - table[first, 2:]
    return _best(within.a[interval] + sums[:, 0] - base[:, 0], within.b[interval] + sums[:, 1] - base[:, 1])


def sums_at(sizes: Tensor, steps: Tensor, q: Tensor) -> tuple[Tensor, Tensor]:
    """The sums a and b, over this part, of the assignment that is best for each scale of `q`."""
    prefix = torch.cat([sizes.new_zeros(1), sizes.cumsum(0)])
    return _sums(sizes, prefix, steps, q)


def scale_limits(sizes: Tensor, steps: Tensor, part: Part | None = None) -> tuple[float, float]:
    """Between which scales the best one lies; twice zero where all sizes are, or have squares that vanish.

    Above max |x| / (least step that is not 0) a smaller q is better for every entry. Below mean |x| / (2 * largest
    step) the fall is at most 2 q t n mean |x|, less than the n (mean |x|)^2 that the largest step alone can reach.
    """
    top = float(largest(part, sizes.amax() if len(sizes) else sizes.new_zeros(())))
    if top < SMALLEST:
        return 0.0, 0.0
    whole, n = total(part, torch.stack([sizes.sum(), sizes.new_tensor(float(len(sizes)))])).tolist()
    return whole / n / (2 * float(steps[-1])), top / float(steps[steps > 0][0])


def _sums(sizes: Tensor, prefix: Tensor, steps: Tensor, q: Tensor) -> tuple[Tensor, Tensor]:
    places = torch.searchsorted(sizes, q[..., None] * ((steps[1:] + steps[:-1]) / 2))
    first = torch.zeros_like(q, dtype=places.dtype)[..., None]
    edges = torch.cat([first, places, torch.full_like(first, len(sizes))], dim=-1)
    return prefix[edges].diff(dim=-1) @ steps, edges.diff(dim=-1).to(steps.dtype) @ steps.square()


def _passed(sizes: Tensor, steps: Tensor, q: Tensor) -> Tensor:
    """How many events lie at each scale or above."""
    places = torch.searchsorted(sizes, q[..., None] * ((steps[1:] + steps[:-1]) / 2))
    return (len(sizes) - places).sum(-1).to(steps.dtype)


def _best(a: Tensor, b: Tensor) -> tuple[float, float]:
    """The largest fall a^2 / b, and its scale a / b."""
    fall = torch.where(b > 0, a * (a / b), -1.0)
    place = fall.argmax()
    if float(fall.flatten()[place]) < 0:
        return -1.0, 0.0
    return float(fall.flatten()[place]), float(a.flatten()[place] / b.flatten()[place])
