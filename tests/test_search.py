"""The choice of the next size, against networks whose accuracy is known for every size."""

import math

import pytest

import tighten as tt
from tighten.search import Gate, Search, Step

DENSE = 99.0


def walk(search, accuracy_of, limit=60):
    """All sizes tried, where a network of each size has a known accuracy."""
    steps = []
    while (size := search.next(steps)) is not None:
        accuracy = accuracy_of(size)
        steps.append(Step(size, accuracy, search.passes(accuracy)))
        assert len(steps) < limit
    return steps


def cliff(at):
    return lambda size: DENSE if size >= at else 0.0


def search(**settings):
    return Search(start=100_000, dense=DENSE, gate=Gate(drop=0.5), **settings)


@pytest.mark.parametrize("at", [90_001, 40_000, 5000, 777, 3])
def test_the_smallest_size_is_found_to_within_the_least_step(at):
    found = search(least_factor=1.05)
    steps = walk(found, cliff(at))
    best = found.best(steps)
    smallest = 100_000 if best is None else best.size
    assert at <= smallest
    # The last failed step was shorter than the square of the least one.
    assert smallest <= at * 1.05**2


def test_every_step_goes_on_from_the_smallest_that_passed():
    steps = walk(search(), cliff(700))
    sizes = [100_000.0]
    for step in steps:
        assert 1 < min(sizes) / step.size <= 8 * (1 + 1e-9)
        if step.passed:
            sizes.append(step.size)


def test_a_goal_is_reached_in_ever_shorter_steps_and_not_passed():
    steps = walk(search(goal=100_000 / 450), cliff(1))
    rates = [100_000 / s.size for s in steps]
    assert rates == pytest.approx([450 ** (2 / 3), 450 ** (8 / 9), 450])
    assert [s.size for s in walk(search(goal=400, part=1.0), cliff(1))] == pytest.approx([400])
    assert walk(search(goal=60_000), cliff(1))[0].size == pytest.approx(60_000)


def test_an_unreachable_goal_ends_above_it():
    found = search(goal=400)
    best = found.best(walk(found, cliff(1000)))
    assert 1000 <= best.size <= 1000 * 1.1**2


def test_steps_grow_shorter_when_the_gate_is_near():
    # Falls by 0.1 points with each halving: the gate of 0.5 is met at a 32nd.
    steps = walk(search(), lambda size: DENSE - 0.1 * math.log2(100_000 / size))
    passed = [s for s in steps if s.passed]
    near = [s for s in passed if DENSE - s.accuracy > 0.25]
    assert passed[0].size == pytest.approx(12_500)
    assert len(near) > 2
    assert min(s.size for s in passed) <= 100_000 / 32 * 1.1**2
    assert sum(not s.passed for s in steps) <= 2


@pytest.mark.parametrize(
    ("gate", "accuracy", "nearly"),
    [
        (Gate(drop=0.5), 98.5, False),  # passes
        (Gate(drop=0.5), 98.4, True),
        (Gate(drop=0.5), 98.0, True),
        (Gate(drop=0.5), 97.9, False),
        (Gate(accuracy=99.5), 99.4, False),  # the dense network itself fails
    ],
)
def test_a_step_fails_narrowly_by_no_more_than_the_gate_allows(gate, accuracy, nearly):
    found = Search(start=1000, dense=99.0, gate=gate)
    assert found.nearly(Step(100, accuracy, found.passes(accuracy))) is nearly


def test_the_gate_may_name_an_accuracy():
    assert Gate(accuracy=99.0).least(99.5) == 99.0
    assert Gate(drop=0.2).least(99.5) == pytest.approx(99.3)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Gate(), "either a drop or an accuracy"),
        (lambda: Gate(drop=0.1, accuracy=99), "either a drop or an accuracy"),
        (lambda: Gate(accuracy=101), "101"),
        (lambda: Gate(drop=200), "200"),
        (lambda: search(factor=1.0), "factor=1.0"),
        (lambda: search(factor=2.0, least_factor=3.0), "least_factor=3.0"),
        (lambda: search(part=0), "part"),
        (lambda: search(goal=100_000), "goal of 100000"),
        (lambda: search(goal=0), "goal of 0"),
    ],
)
def test_what_cannot_be_searched_is_refused(make, message):
    with pytest.raises(tt.TightenError, match=message):
        make()
