"""The mean of the last weights, against a plain mean."""

import pytest
import torch
from torch import nn

from tighten.engine.average import Average


def walk(model, average, steps, first=1):
    """Weights that change at random, each step told; gives the parameters after each."""
    seen = []
    for step in range(first, steps + 1):
        torch.manual_seed(step)
        with torch.no_grad():
            for p in model.parameters():
                p.copy_(torch.randn_like(p))
        average.after_step(step)
        seen.append([p.detach().clone() for p in model.parameters()])
    return seen


@pytest.mark.parametrize(("part", "counted"), [(0.25, 2), (0.5, 4), (1.0, 8)])
def test_the_mean_is_that_of_the_last_part(part, counted):
    model = nn.Linear(3, 2)
    average = Average(model, part, 8)
    seen = walk(model, average, 8)[-counted:]
    average.put_into(model)
    for own, *every in zip(model.parameters(), *seen, strict=True):
        torch.testing.assert_close(own.detach(), torch.stack(every).mean(0))


def test_without_a_part_nothing_changes():
    model = nn.Linear(3, 2)
    average = Average(model, 0.0, 8)
    last = walk(model, average, 8)[-1]
    average.put_into(model)
    assert all(torch.equal(own, want) for own, want in zip(model.parameters(), last, strict=True))


def test_it_goes_on_from_a_checkpoint():
    whole, parts = nn.Linear(3, 2), nn.Linear(3, 2)
    average = Average(whole, 0.5, 8)
    walk(whole, average, 8)
    first = Average(parts, 0.5, 8)
    walk(parts, first, 6)
    again = Average(parts, 0.5, 8)
    again.load_state_dict(first.state_dict())
    walk(parts, again, 8, first=7)
    average.put_into(whole)
    again.put_into(parts)
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), parts.parameters(), strict=True))


def test_a_weight_that_does_not_move_keeps_its_bits():
    model = nn.Linear(3, 2)
    before = [p.detach().clone() for p in model.parameters()]
    average = Average(model, 1.0, 100)
    for step in range(1, 101):
        average.after_step(step)
    average.put_into(model)
    assert all(torch.equal(own, want) for own, want in zip(model.parameters(), before, strict=True))
