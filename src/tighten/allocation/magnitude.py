"""Global magnitude: the largest weights of the network, wherever they are."""

from __future__ import annotations

import math
from collections.abc import Mapping

from tighten.allocation.evidence import Evidence
from tighten.allocation.floors import share_with_floors


def magnitude(sites: Mapping[str, Evidence], budget: float) -> dict[str, int]:
    """The number of weights of each site among those with the largest squares for their price in the network.

    Cost: a selection of the largest entries of each tensor.

    Args:
        sites: what is known of each site; its values and price count.
        budget: what all kept weights may cost.
    """
    # The root of the score orders alike.
    scores = {name: e.largest(e.affordable(budget)) / math.sqrt(e.price) for name, e in sites.items()}
    return share_with_floors(scores, sites, budget)
