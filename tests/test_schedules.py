"""Clocks and curves."""

import pytest

import tighten as tt
from tighten.schedules import Clock, cosine


@pytest.mark.parametrize(("epochs", "steps", "parts"), [(3, 7, 6), (1, 5, 2), (4, 10, 8), (2, 3, 5)])
def test_parts_are_all_done_at_the_end_and_as_equal_as_steps_allow(epochs, steps, parts):
    clock = Clock(epochs, steps)
    done = [clock.parts_done(step, parts) for step in range(clock.steps + 1)]
    assert done[0] == 0
    assert done[-1] == parts
    lengths = [done.count(part) for part in range(parts)]
    assert max(lengths) - min(lengths) <= 1
    assert all(0 <= clock.within_part(step, parts) < 1 for step in range(clock.steps))


def test_cosine_falls_from_one_to_its_end():
    assert cosine(0.0, 0.2) == 1.0
    assert cosine(0.5, 0.2) == pytest.approx(0.6)
    assert cosine(1.0, 0.2) == pytest.approx(0.2)
    assert cosine(2.0, 0.2) == pytest.approx(0.2)


def test_admm_starts_its_learning_rate_anew_at_each_update_and_masked_falls_once():
    clock = Clock(2, 10)
    factors = [tt.Admm(learning_rate_end=0.1).learning_rate_factor(step, clock) for step in range(20)]
    assert [step for step in range(1, 20) if factors[step] > factors[step - 1]] == [5, 10, 15]
    masked = [tt.Masked().learning_rate_factor(step, clock) for step in range(21)]
    assert masked == sorted(masked, reverse=True)
    assert masked[-1] == pytest.approx(0.0)


def test_updates_by_steps_and_by_epochs():
    clock = Clock(4, 10)
    assert tt.Admm(updates_per_epoch=3).updates(clock) == 12
    assert tt.Admm(update_every=7).updates(clock) == 5
    assert tt.Admm(rho=0.1, rho_end=0.8, update_every=10).growth(clock) == pytest.approx(2.0)
