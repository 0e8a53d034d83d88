"""Floors: no site may starve while a global score shares a budget."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from tighten.errors import PlanError

FLOOR = 0.1
"""The least that a site keeps, as a part of an equal share of the budget."""


def share_with_floors(scores: Mapping[str, Tensor], count: int) -> dict[str, int]:
    """How many of the `count` highest scores lie in each site, no site below its floor.

    Definition: sites whose part would fall below the floor get the floor; the others share what is left
    by score. Ties go to the site that comes first.

    Args:
        scores: per site, one-dimensional and falling; the `count` highest of a site are enough.
        count: how many entries are kept in all.

    Raises:
        PlanError: fewer entries than sites.
    """
    if count < len(scores):
        raise PlanError(
            f"a budget of {count} weights cannot keep one in each of {len(scores)} sites: "
            f"raise it to at least {len(scores)} or leave sites out"
        )
    floors = {name: min(len(s), max(1, int(FLOOR * count / len(scores)))) for name, s in scores.items()}
    shares: dict[str, int] = {}
    while True:
        free = {name: s for name, s in scores.items() if name not in shares}
        parts = _highest(free, count - sum(shares.values()))
        starved = [name for name, part in parts.items() if part < floors[name]]
        if not starved:
            shares |= parts
            return {name: shares[name] for name in scores}
        shares |= {name: floors[name] for name in starved}


def _highest(scores: Mapping[str, Tensor], count: int) -> dict[str, int]:
    # Scores fall within a site, so no site can hold more than its first `count` of the highest.
    heads = [s[:count].cpu() for s in scores.values()]
    owners = torch.cat([torch.full((len(s),), i) for i, s in enumerate(heads)])
    every = torch.cat(heads)
    top = every.sort(descending=True, stable=True).indices[:count]
    parts = torch.bincount(owners[top], minlength=len(scores))
    return dict(zip(scores, parts.tolist(), strict=True))
