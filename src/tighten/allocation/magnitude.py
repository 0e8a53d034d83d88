"""Global magnitude: the largest weights of the network, wherever they are."""

from __future__ import annotations

from collections.abc import Mapping

from tighten.allocation.evidence import Evidence
from tighten.allocation.floors import share_with_floors


def magnitude(sites: Mapping[str, Evidence], count: int) -> dict[str, int]:
    """The number of weights of each site among the `count` largest magnitudes in the network.

    Args:
        sites: what is known of each site; its values count.
        count: kept weights over all sites.
    """
    return share_with_floors({name: e.largest(count) for name, e in sites.items()}, count)
