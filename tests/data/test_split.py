from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from tighten.data import TensorData, split_validation
from tighten.errors import DataError


def numbered(targets: Tensor) -> TensorData:
    """Examples whose input is their own position."""
    return TensorData(torch.arange(len(targets), dtype=torch.float32).view(-1, 1), targets)


@given(st.lists(st.integers(0, 4), min_size=2, max_size=60), st.data())
def test_parts_are_disjoint_complete_and_stratified(classes: list[int], draw: st.DataObject) -> None:
    targets = torch.tensor(classes)
    count = draw.draw(st.integers(1, len(classes) - 1))
    rest, held = split_validation(numbered(targets), count, seed=draw.draw(st.integers(0, 10)))
    assert len(held) == count
    positions = rest.inputs.flatten().tolist() + held.inputs.flatten().tolist()
    assert sorted(positions) == list(range(len(classes)))
    for part in (rest, held):
        assert torch.equal(part.targets, targets[part.inputs.flatten().long()])
    taken, sizes = held.targets.bincount(minlength=5).tolist(), targets.bincount(minlength=5).tolist()
    # Webster's rule: no class would rather have had an example that another one got.
    for a, b in itertools.product(set(classes), repeat=2):
        assert (taken[a] - 0.5) * sizes[b] <= (taken[b] + 0.5) * sizes[a]


def test_seed_decides_the_choice() -> None:
    data = numbered(torch.arange(200) % 10)
    first, again, other = (split_validation(data, 50, seed)[1].inputs for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("count", [-1, 0, 20, 21])
def test_empty_part_is_refused(count: int) -> None:
    with pytest.raises(DataError, match=f"validation={count} of 20.*between 1 and 19"):
        split_validation(numbered(torch.arange(20) % 2), count, seed=0)
