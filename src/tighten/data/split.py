"""A validation set held out from the training set."""

from __future__ import annotations

import torch
from torch import Tensor

from tighten.data.tensors import TensorData
from tighten.errors import DataError


def split_validation(train: TensorData, count: int, seed: int) -> tuple[TensorData, TensorData]:
    """The training set without `count` examples, and those examples: (rest, held out).

    The choice is random but stratified: every class gives its share, rounded by Webster's rule, which is to within one
    example where classes are not tiny. It depends on the targets, `count` and `seed` alone. Both parts keep the order
    of `train`.

    Args:
        train: what to split.
        count: examples to hold out.
        seed: of the choice.

    Raises:
        DataError: `count` leaves one of the two parts empty.
    """
    rest, held = split_positions(train.targets, count, seed)
    return train.subset(rest), train.subset(held)


def split_positions(targets: Tensor, count: int, seed: int) -> tuple[Tensor, Tensor]:
    """The positions that `split_validation` leaves and those that it holds out, both rising.

    Args:
        targets: of all examples.
        count, seed: as there.

    Raises:
        DataError: as there.
    """
    n = len(targets)
    if not 0 < count < n:
        raise DataError(f"validation={count} of {n} training examples: choose between 1 and {n - 1}")
    order = torch.randperm(n, generator=torch.Generator().manual_seed(seed))
    by_class = order[targets[order].argsort(stable=True)]
    sizes = targets.bincount()
    starts = (sizes.cumsum(0) - sizes).repeat_interleave(sizes)
    # The place of each example in its own class, as a fraction: the smallest fractions over all
    # classes are an equal share of each.
    fraction = (torch.arange(n) - starts + 0.5) / sizes.repeat_interleave(sizes)
    held = torch.zeros(n, dtype=torch.bool)
    held[by_class[fraction.argsort(stable=True)[:count]]] = True
    return (~held).nonzero().flatten(), held.nonzero().flatten()
