"""The search for the last entry that can be bought, against one entry after the other; floors with prices."""

import pytest
import torch

from tighten.allocation import Evidence
from tighten.allocation.floors import FLOOR, share_with_floors


def slow(scores, prices, budget):
    """Greedy in a loop, ties to the first site; floors by the definition, found again from the start each time."""
    part = FLOOR
    while True:
        floors = {n: min(len(s), max(1, int(part * budget / (len(scores) * prices[n])))) for n, s in scores.items()}
        if cost(floors, prices) <= budget:
            break
        part /= 2
    fixed = {}
    while len(fixed) < len(scores):
        found = bought({n: s for n, s in scores.items() if n not in fixed}, prices, budget - cost(fixed, prices))
        starved = [n for n, count in found.items() if count < floors[n]]
        fixed |= {n: floors[n] for n in starved} if starved else found
    rest = {n: s[fixed[n] :] for n, s in scores.items()}
    more = bought(rest, prices, budget - cost(fixed, prices))
    return {n: fixed[n] + more[n] for n in scores}


def cost(counts, prices):
    return sum(prices[n] * count for n, count in counts.items())


def bought(scores, prices, left):
    counts = dict.fromkeys(scores, 0)
    for _, _, n in sorted((-score, place, n) for place, (n, s) in enumerate(scores.items()) for score in s.tolist()):
        if prices[n] <= left:
            counts[n] += 1
            left -= prices[n]
    return counts


@pytest.mark.parametrize("seed", range(30))
def test_shares_are_those_of_a_plain_loop(seed):
    generator = torch.Generator().manual_seed(seed)
    sizes = torch.randint(1, 40, (4,), generator=generator).tolist()
    # Few different scores, so that ties are the rule, and sites of very different weight.
    scores = {
        f"w{i}": (torch.randint(1, 6, (n,), generator=generator) * 10.0 ** (seed % 3 * i))
        .double()
        .sort()
        .values.flip(0)
        for i, n in enumerate(sizes)
    }
    prices = {n: float(p) for n, p in zip(scores, torch.randint(1, 9, (4,), generator=generator).tolist(), strict=True)}
    sites = {n: Evidence(s, None, prices[n]) for n, s in scores.items()}
    whole = sum(prices[n] * len(s) for n, s in scores.items())
    least = sum(prices.values())
    for budget in (least, least + 3, (least + whole) / 2, whole - 1, whole, whole + 50):
        if budget >= least:
            assert share_with_floors(scores, sites, budget) == slow(scores, prices, budget)


def test_scores_of_all_precisions_are_compared():
    scores = {"half": torch.tensor([4.0, 2.0], dtype=torch.float16), "double": torch.tensor([3.0, 1.0]).double()}
    sites = {n: Evidence(s) for n, s in scores.items()}
    assert share_with_floors(scores, sites, 3) == {"half": 2, "double": 1}


def test_floors_give_way_where_single_entries_of_other_sites_are_dear():
    scores = {"dear": torch.ones(5).double(), "cheap": torch.full((500,), 0.1).double()}
    sites = {"dear": Evidence(scores["dear"], None, 98.0), "cheap": Evidence(scores["cheap"], None, 1.0)}
    assert share_with_floors(scores, sites, 100) == {"dear": 1, "cheap": 2}
