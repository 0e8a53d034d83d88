from __future__ import annotations

import pytest
import torch

from tighten.data import Flip, Shift, TensorData, batches
from tighten.errors import DataError


def numbered(n: int) -> TensorData:
    """Pictures of three channels filled with their own number, which is also their class."""
    numbers = torch.arange(n)
    return TensorData(numbers.float().view(-1, 1, 1, 1).expand(n, 3, 4, 4).contiguous(), numbers)


def test_epoch_holds_every_example_once_with_its_class() -> None:
    loader = batches(numbered(23), 5, torch.Generator().manual_seed(0))
    epoch = list(loader)
    assert len(loader) == len(epoch) == 5
    assert [len(y) for _, y in epoch] == [5, 5, 5, 5, 3]
    for x, y in epoch:
        assert torch.equal(x[:, 0, 0, 0].long(), y)
        assert x.is_contiguous(memory_format=torch.channels_last)
    assert sorted(torch.cat([y for _, y in epoch]).tolist()) == list(range(23))


def test_epochs_differ_and_a_saved_generator_repeats_them() -> None:
    generator = torch.Generator().manual_seed(3)
    loader = batches(numbered(40), 8, generator, Shift(1, fill=-1.0, per="sample"))
    first = list(loader)
    state = generator.get_state()
    second = list(loader)
    generator.set_state(state)
    again = list(loader)
    assert any(not torch.equal(a[1], b[1]) for a, b in zip(first, second, strict=True))
    for (x, y), (x2, y2) in zip(second, again, strict=True):
        assert torch.equal(x, x2)
        assert torch.equal(y, y2)


def test_without_generator_the_order_is_kept() -> None:
    assert torch.cat([y for _, y in batches(numbered(7), 3, None)]).tolist() == list(range(7))


def test_augmentation_leaves_the_data_alone() -> None:
    data = numbered(6)
    before = data.inputs.clone()
    epoch = list(batches(data, 6, torch.Generator().manual_seed(0), lambda x, g: x.mul_(0).sub_(1)))
    assert bool((epoch[0][0] == -1).all())
    assert torch.equal(data.inputs, before)


def test_what_cannot_be_iterated_is_refused() -> None:
    with pytest.raises(DataError, match="batches of 0 from 7"):
        batches(numbered(7), 0, None)
    with pytest.raises(DataError, match="from 0 examples"):
        batches(numbered(0), 4, None)
    with pytest.raises(DataError, match=r"Flip.*give a generator"):
        batches(numbered(7), 4, None, Flip())
