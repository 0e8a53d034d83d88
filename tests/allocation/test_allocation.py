"""Budgets are met exactly, by the scores of the papers, and no layer starves."""

import pytest
import torch

from tighten.allocation import Budget, Evidence, fisher, lamp, magnitude, uniform
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


@pytest.mark.parametrize("rule", [fisher, lamp, magnitude, uniform])
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
    with pytest.raises(PlanError, match="2 weights cannot keep one in each of 3"):
        lamp(draw(0, 10, 10, 10), 2)


def test_budget_counts():
    assert Budget(rate=246).count(430_500) == 1750
    assert Budget(weights=12).count(100) == 12
    for bad in ({}, {"rate": 2, "weights": 3}, {"rate": 0.5}, {"weights": 0}, {"rate": float("nan")}):
        with pytest.raises(PlanError):
            Budget(**bad)
    with pytest.raises(PlanError, match="101 of 100"):
        Budget(weights=101).count(100)
    with pytest.raises(PlanError, match="0 of 100"):
        Budget(rate=1000).count(100)
