"""The search for a cost near a limit, on costs that grow smoothly, in steps, or not quite."""

import math

import pytest

from tighten.allocation.reach import Trial, reach


def search(cost, start, limit, tries=20, most=None):
    made = []

    def trial(spend):
        made.append(Trial(spend, {"w": int(spend)}, cost(spend)))
        return made[-1]

    found = reach(trial, Trial(1.0, {"w": 1}, cost(1.0)), start, (0.98 * limit, 0.99 * limit, limit), tries, most)
    return found, made


@pytest.mark.parametrize("cost", [lambda s: 3 * s, lambda s: 40 + s**1.5, lambda s: 100 * math.log(1 + s)])
@pytest.mark.parametrize("start", [1.0, 7.0, 500.0])
def test_costs_that_grow_are_met_within_two_percent(cost, start):
    found, made = search(cost, start, 450.0)
    assert 0.98 * 450 <= found.cost <= 450
    assert len(made) <= 12


def test_steps_too_wide_for_the_window_give_the_dearest_below_it():
    found, _ = search(lambda s: 100 * math.floor(s / 10), 90.0, 450.0)
    assert found.cost == 400


def test_a_cost_that_wavers_is_never_above_the_limit():
    found, made = search(lambda s: 5 * s + 30 * math.sin(s), 10.0, 450.0)
    assert found.cost == max(t.cost for t in made if t.cost <= 450) <= 450


def test_the_least_is_found_where_nothing_else_fits_and_the_most_ends_the_search():
    found, _ = search(lambda s: 450.0 if s == 1 else 1000.0, 5.0, 450.0)
    assert found.spend == 1
    found, made = search(lambda s: min(s, 50.0), 100.0, 450.0, most={"w": 100})
    assert found.counts == {"w": 100}
    assert len(made) == 1
