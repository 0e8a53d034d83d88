"""The same density everywhere."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from tighten.allocation.evidence import Evidence
from tighten.allocation.floors import share_with_floors


def uniform(sites: Mapping[str, Evidence], count: int) -> dict[str, int]:
    """The number of weights of each site when all have the same density, to within rounding.

    Args:
        sites: what is known of each site; only the sizes of the values matter.
        count: kept weights over all sites.
    """
    # The i-th entry of a site is due when the common density passes i / size.
    sizes = {name: e.values.numel() for name, e in sites.items()}
    due = {name: -torch.arange(n, dtype=torch.float64) / n for name, n in sizes.items()}
    return share_with_floors(due, count)
