"""Budgets of bits against the exact entropy of supports."""

import math

import pytest
import torch

from tighten.allocation import Budget, Evidence, erk, fisher, lamp, magnitude, uniform
from tighten.allocation.bits import bits_of
from tighten.codes import Dense, Sparse
from tighten.errors import PlanError

SHAPES = {"conv": (8, 4, 3, 3), "fc": (60, 50), "bias": (60,)}
ENTRIES = sum(math.prod(shape) for shape in SHAPES.values())


def sites(seed=0):
    generator = torch.Generator().manual_seed(seed)
    scale = {"conv": 1.0, "fc": 0.2, "bias": 0.05}
    return {n: Evidence(torch.randn(s, generator=generator) * scale[n], 0.01) for n, s in SHAPES.items()}


def exact(shares, value_bits):
    """Big integers in place of the gamma function."""
    return sum(math.log2(math.comb(math.prod(SHAPES[n]), k)) + value_bits * k for n, k in shares.items())


def test_the_cost_is_log2_of_the_choices_and_what_a_code_says_of_itself():
    shares = {"conv": 17, "fc": 400, "bias": 60}
    sizes = {n: math.prod(s) for n, s in SHAPES.items()}
    assert bits_of(sizes, shares, 5) == pytest.approx(exact(shares, 5), rel=1e-9)
    grid = torch.zeros(60, 50, dtype=torch.bool)
    grid.view(-1)[:400] = True
    assert bits_of({"fc": 3000}, {"fc": 400}, 32) == pytest.approx(Sparse(grid, (1, 1), Dense(torch.ones(400))).bits())


@pytest.mark.parametrize("rule", [erk, fisher, lamp, magnitude, uniform])
@pytest.mark.parametrize("value_bits", [1, 3, 32])
@pytest.mark.parametrize("part", [0.05, 0.4, 0.95])
def test_the_budget_is_spent_to_two_percent_and_never_overspent(rule, value_bits, part):
    bits = part * value_bits * ENTRIES
    shares = Budget(bits=bits, value_bits=value_bits).share(sites(), rule)
    dearest = value_bits + math.log2(3000)
    assert min(0.98 * bits, bits - dearest) <= exact(shares, value_bits) <= bits


def test_bits_that_pay_for_everything_keep_everything():
    shares = Budget(bits=3 * ENTRIES, value_bits=3).share(sites(), lamp)
    assert shares == {n: math.prod(s) for n, s in SHAPES.items()}


def test_positions_have_a_price():
    """Of two sites whose weights matter alike, the denser one has the cheaper positions and gets more."""
    generator = torch.Generator().manual_seed(1)
    small, large = torch.randn(200, generator=generator), torch.randn(20_000, generator=generator)
    found = {"small": Evidence(small.abs() + 1.5, 0.01), "large": Evidence(large.abs() * 0.9, 0.01)}
    by_bits = Budget(bits=4000, value_bits=2).share(found, fisher)
    by_weights = Budget(weights=sum(by_bits.values())).share(found, fisher)
    assert by_bits["small"] > by_weights["small"]


def test_bits_that_cannot_be_met_say_by_how_much():
    least = sum(3 + math.log2(math.prod(s)) for s in SHAPES.values())
    with pytest.raises(PlanError, match=f"raise it by {least - 20:.0f} to at least {math.ceil(least)}"):
        Budget(bits=20, value_bits=3).share(sites(), lamp)
    shares = Budget(bits=math.ceil(least), value_bits=3).share(sites(), lamp)
    assert set(shares.values()) == {1}
