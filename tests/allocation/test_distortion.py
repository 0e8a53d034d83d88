"""The scan over intervals finds the error of the real fit."""

import pytest
import torch

import tighten as tt
from tighten.allocation.distortion import distortion
from tighten.sets.scale import exact_scale


def draw(kind, count, seed=0):
    torch.manual_seed(seed)
    x = torch.randn(count) if kind == "normal" else torch.distributions.Laplace(0.0, 0.1).sample((count,))
    return x.double().abs().sort(descending=True).values


def real(sizes, count, bits):
    """The squared error of the set's own projection, by brute force over all events of the scale."""
    top = sizes[:count]
    steps = torch.tensor(tt.Uniform(bits, zero=False).magnitudes, dtype=torch.float64)
    q = exact_scale(top.flip(0), steps)
    return float((top[:, None] - q * steps).square().amin(1).sum())


@pytest.mark.parametrize("kind", ["normal", "laplace"])
@pytest.mark.parametrize(
    ("bits", "above"), [(1, 1e-9), (2, 0.001), (3, 0.001), (4, 0.01), (5, 0.01), (6, None), (8, None)]
)
def test_it_is_never_below_and_hardly_above_the_exact_fit(kind, bits, above):
    for size in (60, 3000):
        sizes = draw(kind, size)
        counts = [1, 2, 5, 17, 60, 300, 1500, 3000][: 5 if size == 60 else 8]
        found = distortion(sizes, torch.tensor(counts), bits)
        for count, error in zip(counts, found.tolist(), strict=True):
            wanted, squares = real(sizes, count, bits), float(sizes[:count].square().sum())
            assert wanted - 1e-12 * squares <= error <= wanted + 1e-5 * squares
            if above is not None:
                assert error <= wanted * (1 + above) + 1e-12 * squares


@pytest.mark.parametrize("bits", [2, 4])
def test_it_is_what_the_set_itself_projects_to(bits):
    sizes = draw("normal", 500)
    signed = (sizes * torch.where(torch.arange(500) % 3 == 0, -1.0, 1.0))[torch.randperm(500)]
    constraint = tt.Sparse(count=120) & tt.Uniform(bits, zero=False)
    projected = constraint.project(signed)
    kept = float((signed - projected)[projected != 0].square().sum())
    assert float(distortion(sizes, torch.tensor([120]), bits)) == pytest.approx(kept, rel=0.005)


def test_entries_that_lie_on_levels_cost_nothing():
    sizes = torch.tensor([6.0, 6.0, 4.5, 3.0, 1.5], dtype=torch.float64)
    assert distortion(sizes, torch.arange(1, 6), 3) == pytest.approx(torch.zeros(5).tolist(), abs=1e-12)
    equal = torch.full((7,), 0.3, dtype=torch.float64)
    assert distortion(equal, torch.tensor([1, 7]), 8) == pytest.approx([0.0, 0.0], abs=1e-12)
