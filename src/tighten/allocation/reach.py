"""Counts whose cost comes near to a limit, where only trying tells what counts cost."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Trial:
    """One try.

    Args:
        spend: what was put in.
        counts: kept weights of each site.
        cost: what they turned out to cost.
    """

    spend: float
    counts: Mapping[str, int]
    cost: float


def reach(
    trial: Callable[[float], Trial],
    least: Trial,
    start: float,
    window: tuple[float, float, float],
    tries: int,
    most: Mapping[str, int] | None = None,
) -> Trial:
    """The dearest trial found whose cost is not above the window; one inside it ends the search.

    Definition: cost is taken to grow with what is spent, more or less: regula falsi between the nearest
    trials below and above the window, a straight line through the latest two until there is one above.

    Args:
        trial: tries a spend.
        least: the smallest trial there is, which is affordable.
        start: the first spend to try.
        window: the lowest, the wanted and the highest cost.
        tries: how many trials at most.
        most: counts beyond which there are none; a trial that gives them ends the search.
    """
    low, aim, high = window
    best, below, above = least, least, None
    spend, slope = max(start, least.spend), 0.0
    for _ in range(tries):
        here = trial(spend)
        if here.cost > high:
            above = here
        else:
            best = max(best, here, key=lambda t: t.cost)
            slope = (here.cost - below.cost) / (here.spend - below.spend) if here.spend > below.spend else slope
            below = here
            if here.cost >= low or here.counts == most:
                break
        if above is None:
            step = max(below.spend - least.spend, 1.0)
            wanted = (aim - below.cost) / slope if slope > 0 else step
            spend = below.spend + min(max(wanted, step / 100), 4 * step)
        else:
            part = (aim - below.cost) / (above.cost - below.cost)
            spend = below.spend + min(max(part, 0.1), 0.9) * (above.spend - below.spend)
    return best
