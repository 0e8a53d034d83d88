"""The best scale q of a table of steps t: the minimiser of sum_i min_t (|x_i| - q t)^2.

For given assignments t_i the sum falls from sum x^2 by 2 q a - q^2 b with a = sum |x_i| t_i and
b = sum t_i^2. It is lowest at q = a / b, where it has fallen by a^2 / b. All functions take `sizes`, the
magnitudes, rising, and `steps`, not negative and rising, both in float64.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

REFINED = 16
ROUNDS = 50
SMALLEST = 1e-150


def exact_scale(sizes: Tensor, steps: Tensor) -> float:
    """The best scale.

    As q falls from infinity, entry i moves from step t to the next, t', where q (t + t') / 2 = |x_i|. Between two
    such events all assignments stay, so that the best q is a / b after one of the events.

    Cost: a sort of n * (steps - 1) events.
    """
    if not len(sizes):
        return 0.0
    events = (sizes[:, None] / ((steps[1:] + steps[:-1]) / 2)).flatten()
    order = events.argsort(descending=True, stable=True)
    more_a = (sizes[:, None] * steps.diff()).flatten()[order]
    more_b = steps.square().diff().repeat(len(sizes))[order]
    a = torch.cat([(steps[0] * sizes.sum())[None], more_a]).cumsum(0)
    b = torch.cat([(steps[0].square() * len(sizes))[None], more_b]).cumsum(0)
    best = _fall(a, b).argmax()
    return _ratio(a[best], b[best])


def scanned_scale(sizes: Tensor, steps: Tensor) -> float:
    """A scale that is nearly the best: a scan of all scales that can be, then alternation from the best ones.

    The scan is dense enough that entries which lie on levels are assigned to their own.

    Cost: one search in `sizes` per step and scale of the scan.
    """
    low, high = scale_limits(sizes, steps)
    if high == 0:
        return 0.0
    finest = float(steps.diff().min() / steps[-1]) / 4
    points = math.ceil(math.log(high / low) / finest) + 1
    q = torch.logspace(math.log10(low), math.log10(high), points, dtype=sizes.dtype, device=sizes.device)
    a, b = sums_at(sizes, steps, q)
    best = _fall(a, b).topk(min(REFINED, points)).indices
    a, b = a[best], b[best]
    for _ in range(ROUNDS):
        a, b = sums_at(sizes, steps, torch.where(b > 0, a / b, b))
    last = _fall(a, b).argmax()
    return _ratio(a[last], b[last])


def sums_at(sizes: Tensor, steps: Tensor, q: Tensor) -> tuple[Tensor, Tensor]:
    """The sums a and b of the assignment that is best for each scale of `q`."""
    nothing = sizes.new_zeros(1)
    prefix = torch.cat([nothing, sizes.cumsum(0)])
    places = torch.searchsorted(sizes, q[:, None] * ((steps[1:] + steps[:-1]) / 2))
    first = torch.zeros(len(q), 1, dtype=places.dtype, device=places.device)
    edges = torch.cat([first, places, torch.full_like(first, len(sizes))], dim=1)
    return prefix[edges].diff(dim=1) @ steps, edges.diff(dim=1).to(steps.dtype) @ steps.square()


def scale_limits(sizes: Tensor, steps: Tensor) -> tuple[float, float]:
    """Between which scales the best one lies; twice zero where all sizes are, or have squares that vanish.

    Above max |x| / (least step that is not 0) a smaller q is better for every entry. Below mean |x| / (2 * largest
    step) the fall is at most 2 q t n mean |x|, less than the n (mean |x|)^2 that the largest step alone can reach.
    """
    if not len(sizes) or float(sizes[-1]) < SMALLEST:
        return 0.0, 0.0
    return float(sizes.mean() / (2 * steps[-1])), float(sizes[-1] / steps[steps > 0][0])


def _fall(a: Tensor, b: Tensor) -> Tensor:
    return torch.where(b > 0, a * (a / b), 0.0)


def _ratio(a: Tensor, b: Tensor) -> float:
    return float(a / b) if float(b) > 0 else 0.0
