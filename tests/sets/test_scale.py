"""The best scale of a table of steps."""

from __future__ import annotations

import pytest
import torch
from tests.sets.oracle import draws, scaled
from torch import Tensor

from tighten.sets import scale
from tighten.sets.scale import exact_scale, scale_limits, sums_at

TABLES = [[1.0], [0.0, 1.0], [1.0, 2.0], [0.0, 1.0, 2.0, 3.0], [0.0, 0.25, 0.5, 1.0]]


def fall_at(x: Tensor, steps: list[float], q: float) -> float:
    return sum(max(2 * v * q * t - (q * t) ** 2 for t in steps) for v in x.abs().tolist())


@pytest.mark.parametrize("steps", TABLES, ids=str)
def test_no_assignment_is_better(steps: list[float]) -> None:
    for x in draws((5,), 40):
        q = exact_scale(x.abs().sort().values, torch.tensor(steps, dtype=torch.float64))
        assert fall_at(x, steps, q) == pytest.approx(scaled(steps)(x.abs()), rel=1e-12)


def best_of_all_events(sizes: Tensor, steps: Tensor) -> float:
    """The largest fall after any of the events, all of which are sorted."""
    events = (sizes[:, None] / ((steps[1:] + steps[:-1]) / 2)).flatten()
    order = events.argsort(descending=True, stable=True)
    a = (sizes[:, None] * steps.diff()).flatten()[order].cumsum(0) + steps[0] * sizes.sum()
    b = steps.square().diff().repeat(len(sizes))[order].cumsum(0) + steps[0].square() * len(sizes)
    return float((a.square() / b)[b > 0].amax())


@pytest.mark.parametrize("few", [16, scale.FEW])
def test_no_event_is_overlooked(few: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scale, "FEW", few)
    for x in draws((3000,), 6):
        sizes = x.abs().sort().values
        for bits in (2, 4, 6):
            for least in (0, 1):
                steps = torch.arange(least, 2 ** (bits - 1) + least, dtype=torch.float64)
                found = fall_at(x, steps.tolist(), exact_scale(sizes, steps))
                assert found == pytest.approx(best_of_all_events(sizes, steps), rel=1e-12)


def test_levels_on_which_all_entries_lie_are_found() -> None:
    sizes = torch.arange(128, dtype=torch.float64).repeat(2000).sort().values * 0.0371
    assert exact_scale(sizes, torch.arange(128, dtype=torch.float64)) == pytest.approx(0.0371, rel=1e-12)


def test_sums_belong_to_the_nearest_levels() -> None:
    steps = torch.tensor([0.0, 1.0, 2.0], dtype=torch.float64)
    for x in draws((20,), 6):
        sizes = x.abs().sort().values
        q = torch.tensor([0.2, 0.7, 1.9], dtype=torch.float64)
        a, b = sums_at(sizes, steps, q)
        assert (2 * q * a - q * q * b).tolist() == pytest.approx([fall_at(x, [0, 1, 2], v) for v in q.tolist()])


@pytest.mark.parametrize("steps", TABLES[1:], ids=str)
def test_the_best_scale_lies_within_its_limits(steps: list[float]) -> None:
    table = torch.tensor(steps, dtype=torch.float64)
    for x in draws((7,), 30):
        low, high = scale_limits(x.abs().sort().values, table)
        assert low <= exact_scale(x.abs().sort().values, table) <= high * (1 + 1e-12)


@pytest.mark.parametrize("sizes", [[], [0.0, 0.0]])
def test_nothing_has_the_scale_zero(sizes: list[float]) -> None:
    x, steps = torch.tensor(sizes, dtype=torch.float64), torch.tensor([1.0, 2.0], dtype=torch.float64)
    assert exact_scale(x, steps) == 0.0
