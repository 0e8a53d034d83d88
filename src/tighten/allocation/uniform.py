"""The same density everywhere."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from tighten.allocation.evidence import Evidence
from tighten.allocation.floors import share_with_floors


def uniform(sites: Mapping[str, Evidence], budget: float) -> dict[str, int]:
    """The number of weights of each site when all have the same density, to within rounding.

    Definition: of all densities the highest that the budget pays. A site with fewer entries that are not
    zero keeps those.

    Args:
        sites: what is known of each site; its size and price count.
        budget: what all kept weights may cost.
    """
    return share_at_rates(sites, {name: float(e.size) for name, e in sites.items()}, budget)


def share_at_rates(sites: Mapping[str, Evidence], rates: Mapping[str, float], budget: float) -> dict[str, int]:
    """The number of weights of each site when one scale times its rate is kept of each, as far as there is room.

    Definition: of all scales the highest that the budget pays, to within rounding.

    Args:
        sites: what is known of each site.
        rates: entries of each site for a scale of one.
        budget: what all kept weights may cost.
    """
    # The i-th entry of a site is due when the scale passes i / rate.
    due = {name: -torch.arange(e.affordable(budget), dtype=torch.float64) / rates[name] for name, e in sites.items()}
    return share_with_floors(due, sites, budget)
