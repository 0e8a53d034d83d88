"""Counts and bits against brute force over all of them."""

import itertools
import math

import pytest
import torch

import tighten as tt
from tighten.allocation import Evidence
from tighten.allocation.floors import FLOOR
from tighten.allocation.rate_distortion import rate_distortion
from tighten.errors import PlanError, SetError
from tighten.sets.scale import exact_scale

CHOICES = (2, 3)


def sites(seed, *sizes, factors=None):
    generator = torch.Generator().manual_seed(seed)
    factors = factors or [10.0 ** float(torch.empty(()).uniform_(-2, 1, generator=generator)) for _ in sizes]
    return {
        f"w{i}": Evidence(torch.randn(n, generator=generator), f)
        for i, (n, f) in enumerate(zip(sizes, factors, strict=True))
    }


def cost(n, count, bits):
    return math.log2(math.comb(n, count)) + bits * count


def loss(site, count, bits):
    """The loss by its definition: the set fitted to the kept ones, the others dropped."""
    sizes = site.values.double().abs().sort(descending=True).values
    steps = torch.tensor(tt.Uniform(bits, zero=False).magnitudes, dtype=torch.float64)
    q = exact_scale(sizes[:count].flip(0), steps)
    kept = (sizes[:count, None] - q * steps).square().amin(1).sum()
    return site.squared_gradient / 2 * float(kept + sizes[count:].square().sum())


def points(site, choices=CHOICES):
    n = site.values.numel()
    return {(k, b): (cost(n, k, b), loss(site, k, b)) for k in range(1, n + 1) for b in choices}


def totals(network, shares):
    spent = sum(cost(s.of, s.count, s.bits) for s in shares.values())
    return spent, sum(loss(network[name], s.count, s.bits) for name, s in shares.items())


def best(network, bits):
    """The least loss of all combinations that cost at most so much."""
    tables = [list(points(site).values()) for site in network.values()]
    return min(
        (sum(p[1] for p in ps) for ps in itertools.product(*tables) if sum(p[0] for p in ps) <= bits),
        default=math.inf,
    )


def hull_steps(site):
    """The bits of the edges of the lower convex hull of a site's (bits, loss)."""
    hull = []
    for x, y in sorted(points(site).values()):
        if hull and y >= hull[-1][1]:
            continue
        while len(hull) > 1 and (y - hull[-2][1]) * (hull[-1][0] - hull[-2][0]) <= (hull[-1][1] - hull[-2][1]) * (
            x - hull[-2][0]
        ):
            hull.pop()
        hull.append((x, y))
    return [b[0] - a[0] for a, b in itertools.pairwise(hull)]


@pytest.mark.parametrize("seed", range(4))
def test_no_combination_is_better_for_the_bits_less_one_step_of_the_hull(seed):
    network = sites(seed, 7, 5, 6)
    most = sum(cost(e.values.numel(), e.values.numel(), 3) for e in network.values())
    step = max(max(hull_steps(site)) for site in network.values())
    exact = 0
    for part in (0.45, 0.6, 0.75, 0.9):
        bits = part * most
        spent, found = totals(network, rate_distortion(network, bits, CHOICES))
        assert spent <= bits
        optimum = best(network, bits)
        # The price leaves less than one step of one site unspent; what it spends, it spends best.
        assert optimum - 1e-9 <= found <= best(network, bits - step) * 1.01
        exact += found <= optimum * 1.01
    assert exact >= 2  # of four: the greedy end often finds the optimum itself


@pytest.mark.parametrize("choices", [(2, 3, 4, 5, 6, 8), (4,), (1, 2)])
def test_more_bits_lose_less_and_are_spent(choices):
    network = sites(3, 200, 800, 40, factors=[1e-3, 1e-5, 1e-2])
    most = sum(cost(e.values.numel(), e.values.numel(), max(choices)) for e in network.values())
    before = math.inf
    for part in (0.05, 0.1, 0.2, 0.4):
        shares = rate_distortion(network, part * most, choices)
        spent, lost = totals(network, shares)
        assert 0.97 * part * most <= spent <= part * most
        assert spent == pytest.approx(sum(s.coded_bits for s in shares.values()))
        assert lost < before
        assert {s.bits for s in shares.values()} <= set(choices)
        before = lost


def test_the_last_bit_buys_as_much_everywhere():
    """At the solution, one weight more or less in any site is worth about one price."""
    network = sites(5, 3000, 1000, factors=[1e-3, 1e-2])
    shares = rate_distortion(network, 6000, (3,))
    prices = []
    for name, share in shares.items():
        here, there = (share.count + d for d in (-20, 20))
        less = loss(network[name], here, 3) - loss(network[name], there, 3)
        prices.append(less / (cost(share.of, there, 3) - cost(share.of, here, 3)))
    assert prices[0] == pytest.approx(prices[1], rel=0.05)


def test_a_large_budget_takes_the_finest_levels_and_drops_nothing_that_counts():
    network = sites(1, 50, 80)
    shares = rate_distortion(network, 1e6)
    assert {s.bits for s in shares.values()} == {8}
    assert all(s.density > 0.9 for s in shares.values())


def test_a_floor_does_not_force_a_small_site_to_keep_what_few_bits_spoil():
    network = sites(3, 4000, 40, factors=[1e-5, 1e-2])
    shares = rate_distortion(network, 8000, (1,))
    assert cost(40, 40, 1) < FLOOR * 8000 / 2
    assert shares["w1"].count == min(range(1, 41), key=lambda k: loss(network["w1"], k, 1)) < 40


def test_a_site_that_the_loss_does_not_care_for_keeps_its_floor():
    network = sites(2, 1000, 1000, factors=[1.0, 0.0])
    shares = rate_distortion(network, 2000)
    floor = shares["w1"]
    assert floor.bits == 2
    assert cost(1000, floor.count, 2) <= FLOOR * 2000 / 2 < cost(1000, floor.count + 1, 2)


def test_entries_that_are_zero_are_not_kept():
    network = sites(4, 100, 100)
    network["w1"].values[30:] = 0
    assert rate_distortion(network, 1e5)["w1"].count <= 30


def test_the_least_budget_keeps_one_weight_in_each_site():
    network = sites(0, 64, 128)
    shares = rate_distortion(network, 6 + 7 + 2 * 2 + 1e-6)
    assert [(s.count, s.bits) for s in shares.values()] == [(1, 2), (1, 2)]
    with pytest.raises(PlanError, match="at least 17, or leave"):
        rate_distortion(network, 16.9)


@pytest.mark.parametrize(
    ("network", "bits", "choices", "error", "message"),
    [
        ({"w": Evidence(torch.randn(9))}, 100, (4,), PlanError, "squared gradient of 'w' is None"),
        ({"w": Evidence(torch.randn(9), math.nan)}, 100, (4,), PlanError, "squared gradient of 'w' is nan"),
        ({"w": Evidence(torch.zeros(9), 1.0)}, 100, (4,), PlanError, "largest entry of 'w' is 0"),
        ({"w": Evidence(torch.full((9,), math.nan), 1.0)}, 100, (4,), PlanError, "largest entry of 'w' is nan"),
        ({"w": Evidence(torch.randn(9), 1.0)}, math.inf, (4,), PlanError, "budget of inf bits"),
        ({"w": Evidence(torch.randn(9), 1.0)}, 100, (), PlanError, r"at \[\] bits"),
        ({}, 100, (4,), PlanError, "0 sites"),
        ({"w": Evidence(torch.randn(9), 1.0)}, 100, (4, 9), SetError, "bits=9"),
    ],
)
def test_mistakes_are_named(network, bits, choices, error, message):
    with pytest.raises(error, match=message):
        rate_distortion(network, bits, choices)
