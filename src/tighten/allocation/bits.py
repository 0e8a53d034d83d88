"""Shares of a budget of bits: positions and values."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

from tighten.allocation.ask import Allocation, ask
from tighten.allocation.evidence import Evidence
from tighten.allocation.reach import Trial, reach
from tighten.allocation.share import log2_choose
from tighten.errors import PlanError

ROUNDS = 3
TRIES = 20


def bits_of(sizes: Mapping[str, int], counts: Mapping[str, int], value_bits: int) -> float:
    """The bits of supports that are scattered evenly, log2 of all their choices, and of the values on them.

    Args:
        sizes: entries of each site.
        counts: kept entries of each site.
        value_bits: bits of a kept value.
    """
    return sum(log2_choose(sizes[name], count) + value_bits * count for name, count in counts.items())


def share_bits(sites: Mapping[str, Evidence], rule: Allocation, bits: float, value_bits: int) -> dict[str, int]:
    """The number of weights of each site when positions and values together may take so many bits.

    Definition: another weight of a site of n entries that keeps k costs its value and about log2((n - k) / k)
    bits of positions, so that the price depends on the shares. Prices and shares are found in turn, in a
    few rounds; then prices are fixed, and what the rule may spend is set so that the shares cost what they may.

    Args:
        sites: what is known of each site; the prices in it do not count.
        rule: the allocation rule.
        bits: the budget.
        value_bits: bits of a kept value.

    Raises:
        PlanError: the budget does not reach for one weight in each site.
    """
    sizes = {name: e.size for name, e in sites.items()}
    least = dict.fromkeys(sites, 1)
    check_bits(sizes, bits, value_bits)
    whole = {name: e.room for name, e in sites.items()}
    if bits_of(sizes, whole, value_bits) <= bits:
        return whole
    shares: Mapping[str, int] = _even(sizes, bits, value_bits)
    for _ in range(ROUNDS):
        priced, spend = _priced(sites, shares, bits, value_bits)
        shares = ask(rule, priced, spend, "bits")
    priced, spend = _priced(sites, shares, bits, value_bits)

    def trial(spend: float) -> Trial:
        counts = ask(rule, priced, spend, "bits")
        return Trial(spend, counts, bits_of(sizes, counts, value_bits))

    cheapest = Trial(sum(e.price for e in priced.values()), least, bits_of(sizes, least, value_bits))
    found = reach(trial, cheapest, spend, (0.99 * bits, 0.995 * bits, bits), TRIES)
    return dict(found.counts)


def check_bits(sizes: Mapping[str, int], bits: float, value_bits: int) -> None:
    """Nothing, where the bits reach for one weight in each site.

    Raises:
        PlanError: they do not.
    """
    least = bits_of(sizes, dict.fromkeys(sizes, 1), value_bits)
    if least > bits:
        raise PlanError(
            f"a budget of {bits:.10g} bits cannot keep one weight in each of {len(sizes)} sites: "
            f"raise it by {least - bits:.0f} to at least {math.ceil(least)}, or leave sites out"
        )


def _even(sizes: Mapping[str, int], bits: float, value_bits: int) -> dict[str, int]:
    """Counts of one density that cost about so much."""
    low, high = 0.0, 1.0
    for _ in range(40):
        middle = (low + high) / 2
        counts = {name: max(1, int(middle * n)) for name, n in sizes.items()}
        low, high = (middle, high) if bits_of(sizes, counts, value_bits) <= bits else (low, middle)
    return {name: max(1, int(low * n)) for name, n in sizes.items()}


def _priced(
    sites: Mapping[str, Evidence], shares: Mapping[str, int], bits: float, value_bits: int
) -> tuple[dict[str, Evidence], float]:
    """The sites at the marginal prices of these shares, and what a rule may spend at them."""
    priced, sizes = {}, {name: e.size for name, e in sites.items()}
    for name, e in sites.items():
        n, k = sizes[name], shares[name]
        # Where more than half is kept, positions get cheaper with each weight; no weight may be free.
        priced[name] = replace(e, price=value_bits + math.log2(max(1.0, (n - k) / k)))
    # Marginal prices do not add up to the cost: what is spent on them is scaled as the shares say.
    marginal = sum(e.price * shares[name] for name, e in priced.items())
    spend = marginal * bits / bits_of(sizes, shares, value_bits)
    return priced, max(spend, sum(e.price for e in priced.values()))
