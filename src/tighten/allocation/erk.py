"""Erdos-Renyi-Kernel: large layers sparse, small layers dense, by their shapes alone."""

from __future__ import annotations

import math
from collections.abc import Mapping

from tighten.allocation.evidence import Evidence
from tighten.allocation.uniform import share_at_rates


def erk(sites: Mapping[str, Evidence], budget: float) -> dict[str, int]:
    """The number of weights of each site when its density follows the sum of its axes over their product.

    Definition: the density of a site of shape (d1, ..., dm) is min(1, s (d1 + ... + dm) / (d1 * ... * dm)), that
    is, s (d1 + ... + dm) entries are kept where there are so many. Of all scales s the highest that the
    budget pays, to within rounding. For a vector such as a bias the formula gives min(1, s): it is the densest
    of all, and whole from s = 1 on.

    Source: Evci et al., "Rigging the Lottery", arXiv 1911.11134, section 3.

    Args:
        sites: what is known of each site; its shape and price count.
        budget: what all kept weights may cost.
    """
    return share_at_rates(sites, {name: _rate(e.shape) for name, e in sites.items()}, budget)


def _rate(shape: tuple[int, ...]) -> float:
    # The ratio times the size: exact in floating point, and a site without axes has one entry.
    return float(sum(shape)) if math.prod(shape) and shape else 1.0
