"""Floors: no site may starve while a score shares a budget."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce

import torch
from torch import Tensor

from tighten.allocation.evidence import Evidence
from tighten.errors import PlanError

FLOOR = 0.1
"""The least that a site keeps, as a part of what an equal share of the budget buys there."""
HALVINGS = 60


def share_with_floors(scores: Mapping[str, Tensor], sites: Mapping[str, Evidence], budget: float) -> dict[str, int]:
    """How many entries each site buys when the highest scores go first, no site below its floor.

    Definition: entries are bought in falling order of their scores, each at the price of its site; what
    the rest of the budget does not reach is passed over for what it does. Sites whose part would fall
    below the floor get the floor; the others share what is left, and what they leave goes to all by score. Ties
    go to the site that comes first.

    Cost: some searches in each site; a sort of the scores next to the last one that is bought.

    Args:
        scores: per site, one-dimensional and falling; as many as `Evidence.affordable` are enough. Prices
            that are to count in the order must already be in them.
        sites: the same sites, for their prices.
        budget: what all that is kept may cost.

    Raises:
        PlanError: the budget does not reach for one entry in each site.
    """
    prices = {name: sites[name].price for name in scores}
    least = sum(prices.values())
    if least > budget:
        raise PlanError(
            f"a budget of {budget:.10g} cannot keep one weight in each of {len(scores)} sites: "
            f"raise it by {least - budget:.10g} to at least {least:.10g}, or leave sites out"
        )
    floors = _floors({name: len(s) for name, s in scores.items()}, prices, budget)
    precision = reduce(torch.promote_types, (s.dtype for s in scores.values()), torch.float32)
    keys = {name: -s.to("cpu", precision) for name, s in scores.items()}
    shares: dict[str, int] = {}
    while len(shares) < len(keys):
        free = {name: s for name, s in keys.items() if name not in shares}
        parts = _cheapest(free, prices, budget - _cost(shares, prices))
        starved = [name for name, part in parts.items() if part < floors[name]]
        shares |= {name: floors[name] for name in starved} if starved else parts
    rest = {name: s[shares[name] :] for name, s in keys.items() if shares[name] < len(s)}
    more = _cheapest(rest, prices, budget - _cost(shares, prices))
    return {name: shares[name] + more.get(name, 0) for name in scores}


def _cost(counts: Mapping[str, int], prices: Mapping[str, float]) -> float:
    return sum(prices[name] * count for name, count in counts.items())


def _floors(sizes: Mapping[str, int], prices: Mapping[str, float], budget: float) -> dict[str, int]:
    part = FLOOR
    while True:
        floors = {n: min(size, max(1, int(part * budget / (len(sizes) * prices[n])))) for n, size in sizes.items()}
        # Where single entries are dear, they and the floors of the others may come to more than there is.
        if _cost(floors, prices) <= budget:
            return floors
        part /= 2


def _cheapest(keys: Mapping[str, Tensor], prices: Mapping[str, float], budget: float) -> dict[str, int]:
    """How many entries each site buys when the lowest keys go first."""
    if not keys or budget < min(prices[name] for name in keys):
        return dict.fromkeys(keys, 0)
    each = torch.tensor([prices[name] for name in keys], dtype=torch.float64)
    parts = _below_threshold(list(keys.values()), each, budget)
    budget -= float(each @ parts.double())
    # Keys rise within a site, so only those next to the threshold can still be bought.
    reach = [max(0, int(budget / price)) + 1 for price in each.tolist()]
    heads = [s[at : at + more] for s, at, more in zip(keys.values(), parts.tolist(), reach, strict=True)]
    owners = torch.cat([torch.full((len(s),), i) for i, s in enumerate(heads)])
    owners = owners[torch.cat(heads).sort(stable=True).indices]
    while len(owners):
        costs = each[owners].cumsum(0)
        bought = int((costs <= budget).sum())
        parts += torch.bincount(owners[:bought], minlength=len(keys))
        budget -= float(costs[bought - 1]) if bought else 0.0
        owners = owners[bought:]
        owners = owners[each[owners] <= budget]
    return dict(zip(keys, parts.tolist(), strict=True))


def _below_threshold(keys: Sequence[Tensor], each: Tensor, budget: float) -> Tensor:
    """How many entries of each site lie below a threshold, found by halving, up to which all can be bought."""
    parts = torch.zeros(len(keys), dtype=torch.int64)
    low, high = min(float(s[0]) for s in keys), max(float(s[-1]) for s in keys)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        found = torch.stack([torch.searchsorted(s, s.new_tensor(middle)) for s in keys])
        if float(each @ found.double()) <= budget:
            low, parts = middle, found
        else:
            high = middle
    return parts
