"""Magnitude weighed by how much the loss cares for a site."""

from __future__ import annotations

import math
from collections.abc import Mapping

from tighten.allocation.evidence import Evidence
from tighten.allocation.floors import share_with_floors
from tighten.allocation.lamp import lamp


def fisher(sites: Mapping[str, Evidence], budget: float) -> dict[str, int]:
    """The number of weights of each site among those whose loss would raise the training loss most for their price.

    Definition: removing an entry w raises the loss by about F w^2 / 2, where F, the diagonal of the Fisher
    information, is estimated by the mean squared gradient. One F for each site, averaged over its kept
    entries: that of a single entry is too noisy to choose by. Entries are taken by F w^2 / price. Before
    any gradient was seen the rule is LAMP.

    Cost: a selection of the largest entries of each tensor.
    Source: LeCun et al., "Optimal Brain Damage" (1989); Theis et al., arXiv 1801.05787.

    Args:
        sites: what is known of each site.
        budget: what all kept weights may cost.
    """
    factors = {name: e.squared_gradient for name, e in sites.items()}
    known = {name: f for name, f in factors.items() if f is not None and f > 0}
    if len(known) < len(sites):
        return lamp(sites, budget)
    # The root of the score orders alike.
    scores = {
        name: e.largest(e.affordable(budget)).double() * math.sqrt(known[name] / e.price) for name, e in sites.items()
    }
    return share_with_floors(scores, sites, budget)
