from __future__ import annotations

import torch

from tighten.data import digits


def test_parts_are_the_published_pictures() -> None:
    data = digits()
    assert [len(part) for part in (data.train, data.validation, data.test)] == [1197, 200, 400]
    inputs = torch.cat([data.train.inputs, data.validation.inputs, data.test.inputs])
    targets = torch.cat([data.train.targets, data.validation.targets, data.test.targets])
    assert inputs.shape == (1797, 1, 8, 8)
    assert abs(inputs.mean()) < 1e-3
    assert abs(inputs.std() - 1) < 1e-3
    assert targets.bincount().tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    # No picture stands on both sides: the published set has no two that are equal.
    assert len(inputs.unique(dim=0)) == 1797


def test_fill_is_the_background() -> None:
    data = digits()
    assert data.train.inputs.min().item() == torch.tensor(data.fill).item()


def test_seed_changes_validation_and_never_the_test() -> None:
    first, again, other = digits(seed=1), digits(seed=1), digits(seed=2, validation=100)
    assert torch.equal(first.test.inputs, other.test.inputs)
    assert torch.equal(first.validation.inputs, again.validation.inputs)
    assert not torch.equal(first.validation.inputs[:100], other.validation.inputs)
    assert len(other.validation) == 100


def test_every_class_is_in_every_part() -> None:
    data = digits()
    for part in (data.train, data.validation, data.test):
        counts = part.targets.bincount(minlength=10)
        assert counts.min() >= 0.09 * len(part)
