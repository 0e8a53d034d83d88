"""Erdos-Renyi-Kernel against its closed form."""

import pytest
import torch

from tighten.allocation import Evidence, erk, uniform
from tighten.allocation.floors import FLOOR

SHAPES = {"conv": (20, 10, 5, 5), "fc": (300, 80), "out": (10, 300)}


def sites(shapes, **prices):
    generator = torch.Generator().manual_seed(0)
    return {n: Evidence(torch.randn(s, generator=generator), None, prices.get(n, 1.0)) for n, s in shapes.items()}


@pytest.mark.parametrize("budget", [200, 700, 1500])
def test_counts_are_proportional_to_the_sum_of_the_axes(budget):
    shares = erk(sites(SHAPES), budget)
    sums = {name: sum(shape) for name, shape in SHAPES.items()}
    scale = budget / sum(sums.values())
    assert sum(shares.values()) == budget
    for name, count in shares.items():
        assert abs(count - scale * sums[name]) <= 1


def test_a_layer_that_is_full_leaves_the_rest_to_the_others():
    shares = erk(sites({"small": (4, 3), "large": (100, 100), "larger": (200, 200)}), 3012)
    assert shares["small"] == 12
    assert abs(shares["large"] - 1000) <= 1
    assert abs(shares["larger"] - 2000) <= 1


def test_a_bias_is_the_densest_of_all_and_whole_from_a_scale_of_one():
    shapes = {"weight": (40, 60), "bias": (40,)}
    assert erk(sites(shapes), 70) == {"weight": 50, "bias": 20}
    assert erk(sites(shapes), 300)["bias"] == 40


def test_the_scale_pays_for_prices():
    budget = 2000.0
    shares = erk(sites(SHAPES, conv=5.0, fc=2.0), budget)
    sums = {name: sum(shape) for name, shape in SHAPES.items()}
    scale = budget / (5 * sums["conv"] + 2 * sums["fc"] + sums["out"])
    assert budget - 1 < 5 * shares["conv"] + 2 * shares["fc"] + shares["out"] <= budget
    for name, count in shares.items():
        assert abs(count - scale * sums[name]) <= 3  # what is left of the price of a kernel buys others


def test_uniform_has_one_density_whatever_the_prices():
    shares = uniform(sites(SHAPES, conv=5.0, fc=2.0), 9000.0)
    sizes = {"conv": 5000, "fc": 24000, "out": 3000}
    density = 9000 / (5 * 5000 + 2 * 24000 + 3000)
    for name, count in shares.items():
        assert abs(count - density * sizes[name]) <= 3
        assert 5 * count > FLOOR * 3000  # no floor was needed
