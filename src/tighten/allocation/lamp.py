"""Layer-adaptive magnitude: one global score that is comparable across sites."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from tighten.allocation.evidence import Evidence
from tighten.allocation.floors import share_with_floors


def lamp(sites: Mapping[str, Evidence], budget: float) -> dict[str, int]:
    """The number of weights of each site among those with the highest LAMP scores for their price in the network.

    Definition: the score of an entry is its square divided by the sum of the squares of all entries of
    the same site that are not smaller than it, so that the largest entry of every site scores one.

    Cost: a selection of the largest entries of each tensor.
    Source: Lee et al., "Layer-adaptive Sparsity for the Magnitude-based Pruning", arXiv 2010.07611.

    Args:
        sites: what is known of each site; its values and price count.
        budget: what all kept weights may cost.
    """
    scores = {name: _scores(e.largest(e.affordable(budget))) / e.price for name, e in sites.items()}
    return share_with_floors(scores, sites, budget)


def _scores(largest: Tensor) -> Tensor:
    squares = largest.double().square()
    return squares / squares.cumsum(0).clamp_min(torch.finfo(torch.float64).tiny)
