"""Layer-adaptive magnitude: one global score that is comparable across sites."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from tighten.allocation.evidence import Evidence
from tighten.allocation.floors import share_with_floors


def lamp(sites: Mapping[str, Evidence], count: int) -> dict[str, int]:
    """The number of weights of each site among the `count` with the highest LAMP scores in the network.

    Definition: the score of an entry is its square divided by the sum of the squares of all entries of
    the same site that are not smaller than it, so that the largest entry of every site scores one.

    Cost: a sort of each tensor.
    Source: Lee et al., "Layer-adaptive Sparsity for the Magnitude-based Pruning", arXiv 2010.07611.

    Args:
        sites: what is known of each site; its values count.
        count: kept weights over all sites.
    """
    return share_with_floors({name: _scores(e.values) for name, e in sites.items()}, count)


def _scores(x: Tensor) -> Tensor:
    squares = x.detach().flatten().double().square().sort(descending=True).values
    return squares / squares.cumsum(0).clamp_min(torch.finfo(torch.float64).tiny)
