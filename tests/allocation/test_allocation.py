"""Budgets are met exactly, by the scores of the papers, and no layer starves."""

import pytest
import torch

from tighten.allocation import Evidence, erk, fisher, lamp, magnitude, uniform
from tighten.allocation.floors import FLOOR
from tighten.errors import PlanError


def draw(seed, *sizes, scales=None):
    generator = torch.Generator().manual_seed(seed)
    pairs = enumerate(zip(sizes, scales or [1.0] * len(sizes), strict=True))
    return {f"w{i}": Evidence(torch.randn(n, generator=generator) * s) for i, (n, s) in pairs}


def slow_lamp(tensors, count):
    """Scores by the definition: square over the sum of all squares that are not smaller... in plain loops."""
    scored = []
    for name, e in tensors.items():
        values = sorted((v * v for v in e.values.double().tolist()), reverse=True)
        for rank, v in enumerate(values):
            scored.append((v / sum(values[: rank + 1]), name))
    scored.sort(reverse=True)
    return {name: sum(n == name for _, n in scored[:count]) for name in tensors}


@pytest.mark.parametrize("seed", range(5))
def test_lamp_is_its_definition_where_no_floor_binds(seed):
    tensors = draw(seed, 40, 25, 60)
    found, wanted = lamp(tensors, 30), slow_lamp(tensors, 30)
    assert found == wanted


def test_lamp_does_not_depend_on_the_scale_of_a_site():
    small = draw(0, 200, 300)
    scaled = {name: Evidence(e.values * (1e-4 if name == "w0" else 1e3)) for name, e in small.items()}
    assert lamp(small, 50) == lamp(scaled, 50)


@pytest.mark.parametrize("rule", [erk, fisher, lamp, magnitude, uniform])
@pytest.mark.parametrize("count", [3, 7, 100, 399, 400])
def test_every_rule_spends_the_budget_exactly(rule, count):
    shares = rule(draw(1, 100, 250, 50, scales=[1.0, 1e-3, 1e3]), count)
    assert sum(shares.values()) == count
    assert all(1 <= shares[n] <= size for n, size in {"w0": 100, "w1": 250, "w2": 50}.items())


def test_magnitude_would_kill_a_small_layer_but_for_its_floor():
    shares = magnitude(draw(2, 1000, 1000, scales=[1.0, 1e-6]), 100)
    assert shares["w1"] == int(FLOOR * 100 / 2)
    assert shares["w0"] == 100 - shares["w1"]


def test_fisher_is_magnitude_where_all_sites_matter_alike_and_lamp_before_it_knows():
    sites = draw(4, 200, 300, scales=[1.0, 0.5])
    assert fisher(sites, 60) == lamp(sites, 60)
    even = {name: Evidence(e.values, 0.04) for name, e in sites.items()}
    assert fisher(even, 60) == magnitude(sites, 60) != lamp(sites, 60)


def test_fisher_keeps_what_a_scaling_of_the_network_leaves_alike():
    """A layer scaled by s has gradients scaled by 1/s: the function is the same, and so must the shares be."""
    sites = {name: Evidence(e.values, 0.04) for name, e in draw(5, 200, 300).items()}
    scaled = {**sites, "w1": Evidence(sites["w1"].values * 10, 0.04 / 100)}
    assert fisher(sites, 60) == fisher(scaled, 60)


def test_fisher_gives_more_to_the_site_that_the_loss_cares_for():
    sites = draw(6, 300, 300)
    loved = {"w0": Evidence(sites["w0"].values, 0.0225), "w1": Evidence(sites["w1"].values, 0.01)}
    values = {"w0": sites["w0"].values * 1.5, "w1": sites["w1"].values}
    threshold = torch.cat(list(values.values())).abs().sort(descending=True).values[79]
    assert fisher(loved, 80) == {name: int((v.abs() >= threshold).sum()) for name, v in values.items()}


def test_ties_do_not_change_the_total():
    assert sum(lamp({"a": Evidence(torch.ones(50)), "b": Evidence(torch.ones(70))}, 33).values()) == 33


def test_a_budget_smaller_than_the_number_of_sites_is_refused():
    with pytest.raises(
        PlanError, match="budget of 2 cannot keep one weight in each of 3 sites: raise it by 1 to at least 3"
    ):
        lamp(draw(0, 10, 10, 10), 2)


def slow_prices(scores, prices, budget):
    """Entries by score per price, one after the other; what can no longer be paid is passed over."""
    counts, spent = dict.fromkeys(scores, 0), 0.0
    entries = [(score / prices[name], name) for name, found in scores.items() for score in found.tolist()]
    for _, name in sorted(entries, key=lambda entry: -entry[0]):
        if spent + prices[name] <= budget:
            counts[name] += 1
            spent += prices[name]
    return counts


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("rule", [fisher, lamp, magnitude])
def test_rules_take_entries_by_score_per_price(rule, seed):
    prices = {"w0": 1.0, "w1": 2.5, "w2": 7.0}
    sites = draw(seed, 60, 40, 50)
    loved = {n: Evidence(e.values, 0.01 * (i + 1), prices[n]) for i, (n, e) in enumerate(sites.items())}
    squares = {n: e.values.double().square().sort(descending=True).values for n, e in sites.items()}
    scores = {
        magnitude: squares,
        fisher: {n: s * loved[n].squared_gradient for n, s in squares.items()},
        lamp: {n: s / s.cumsum(0) for n, s in squares.items()},
    }[rule]
    for budget in (60.0, 133.3, 250.0):
        wanted = slow_prices(scores, prices, budget)
        if all(prices[n] * count >= FLOOR * budget / 3 for n, count in wanted.items()):
            assert rule(loved, budget) == wanted


@pytest.mark.parametrize("rule", [erk, fisher, lamp, magnitude, uniform])
@pytest.mark.parametrize("budget", [70.0, 200.0, 1234.5, 1e6])
def test_every_rule_keeps_within_prices_and_leaves_less_than_the_cheapest_weight(rule, budget):
    prices = {"w0": 1.5, "w1": 4.0, "w2": 64.0}
    sites = draw(3, 100, 250, 50, scales=[1.0, 1e-3, 1e3])
    shares = rule({n: Evidence(e.values, 0.01, prices[n]) for n, e in sites.items()}, budget)
    assert all(1 <= shares[n] <= e.values.numel() for n, e in sites.items())
    left = budget - sum(prices[n] * shares[n] for n in sites)
    assert left >= 0
    assert all(left < prices[n] for n, e in sites.items() if shares[n] < e.values.numel())


def test_a_site_is_bought_less_where_it_gets_dearer():
    sites = draw(7, 300, 300)
    for rule in (erk, fisher, lamp, magnitude, uniform):
        cheap = {n: Evidence(e.values, 0.01) for n, e in sites.items()}
        dear = {**cheap, "w1": Evidence(sites["w1"].values, 0.01, 3.0)}
        assert rule(dear, 200)["w1"] < rule(cheap, 200)["w1"]


def test_entries_that_are_zero_are_not_bought():
    values = torch.randn(4, 50, generator=torch.Generator().manual_seed(0))
    pruned = values.where(torch.arange(200).view(4, 50) % 10 == 0, 0.0)
    for rule in (erk, fisher, lamp, magnitude, uniform):
        shares = rule({"pruned": Evidence(pruned, 0.01), "whole": Evidence(values, 0.01)}, 150)
        assert shares["pruned"] <= 20
        assert sum(shares.values()) == 150


def test_a_budget_of_prices_that_cannot_be_met_says_by_how_much():
    sites = {n: Evidence(e.values, None, 10.0) for n, e in draw(0, 10, 10, 10).items()}
    assert lamp(sites, 30) == {"w0": 1, "w1": 1, "w2": 1}
    with pytest.raises(PlanError, match=r"raise it by 4\.5 to at least 30"):
        lamp(sites, 25.5)
