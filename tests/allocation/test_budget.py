"""What a budget may say, and what it says when it cannot be met."""

import math

import pytest
import torch

import tighten as tt
from tighten.allocation import Evidence, erk, fisher, lamp, magnitude, uniform
from tighten.errors import PlanError
from tighten.zoo import LeNet5


def test_counts():
    assert tt.Budget(rate=246).count(430_500) == 1750
    assert tt.Budget(weights=12).count(100) == 12
    with pytest.raises(PlanError, match="101 of 100"):
        tt.Budget(weights=101).count(100)
    with pytest.raises(PlanError, match="0 of 100"):
        tt.Budget(rate=1000).count(100)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "exactly one of weights, rate, bits, bytes, macs"),
        ({"rate": 2, "weights": 3}, "exactly one"),
        ({"bytes": 2, "bits": 3}, "exactly one"),
        ({"rate": 0.5}, "1 or more"),
        ({"rate": float("nan")}, "1 or more"),
        ({"weights": 0}, "keeps nothing"),
        ({"bits": -3}, "keeps nothing"),
        ({"bytes": 0}, "keeps nothing"),
        ({"macs": float("nan")}, "keeps nothing"),
        ({"weights": 5, "value_bits": 3}, "says nothing about weights"),
        ({"bytes": 5, "value_bits": 9}, "1 to 8"),
        ({"bits": 5, "value_bits": 0}, "1 to 8"),
        ({"bits": 5, "per_weight": {"w": 1}}, "leave it out"),
    ],
)
def test_budgets_that_make_no_sense_are_refused(settings, message):
    with pytest.raises(PlanError, match=message):
        tt.Budget(**settings)


@pytest.mark.parametrize("rule", [erk, fisher, lamp, magnitude, uniform])
def test_macs_are_spent_by_what_each_weight_costs(rule):
    torch.manual_seed(0)
    model = LeNet5()
    per_weight = tt.macs_per_weight(model, torch.zeros(1, 1, 28, 28))
    sites = {n: Evidence(p.detach(), 0.01) for n, p in model.named_parameters() if p.ndim > 1}
    shares = tt.Budget(macs=200_000, per_weight=per_weight).share(sites, rule)
    spent = sum(per_weight[n] * count for n, count in shares.items())
    assert 200_000 - 64 < spent <= 200_000
    assert shares["conv1.weight"] < tt.Budget(weights=sum(shares.values())).share(sites, rule)["conv1.weight"]


def test_macs_need_prices_that_cover_every_site():
    sites = {"a": Evidence(torch.ones(5)), "b": Evidence(torch.ones(5))}
    with pytest.raises(PlanError, match="macs_per_weight"):
        tt.Budget(macs=50).share(sites, lamp)
    with pytest.raises(PlanError, match="'b' is no weight of a convolution or linear layer"):
        tt.Budget(macs=50, per_weight={"a": 3}).share(sites, lamp)
    with pytest.raises(PlanError, match="raise it by 3 to at least 13"):
        tt.Budget(macs=10, per_weight={"a": 3, "b": 10}).check({"a": 5, "b": 5})
    assert tt.Budget(macs=13, per_weight={"a": 3, "b": 10}).share(sites, lamp) == {"a": 1, "b": 1}


@pytest.mark.parametrize(
    "budget", [{"weights": 1}, {"rate": 10}, {"bits": 10}, {"macs": 5, "per_weight": {"0.weight": 9}}]
)
def test_a_plan_with_too_small_a_budget_is_refused_before_training(budget):
    model = torch.nn.Sequential(torch.nn.Linear(3, 2, bias=False), torch.nn.Linear(2, 2, bias=False))
    with pytest.raises(PlanError):
        tt.Session(model, [tt.Stage({"*": tt.Sparse()}, tt.Masked(), 1, tt.Budget(**budget))], steps_per_epoch=1)


def test_more_than_everything_is_everything():
    sites = {"a": Evidence(torch.ones(5)), "b": Evidence(torch.arange(1.0, 8.0))}
    for budget in (tt.Budget(bits=1e6), tt.Budget(macs=1e6, per_weight={"a": 3, "b": 10})):
        assert budget.share(sites, magnitude) == {"a": 5, "b": 7}
    assert math.isclose(tt.Budget(rate=1).count(12), 12)
