"""Examples in batches, shuffled and augmented."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from tighten.data.augment import Augment
from tighten.data.tensors import Examples
from tighten.errors import DataError


@dataclass(frozen=True, eq=False)
class Batches:
    """An iterable over batches; each `iter()` is one new epoch, `len()` its number of batches.

    All chance is drawn from `generator`: its state, saved between two epochs, says all that follows.
    """

    data: Examples
    batch_size: int
    generator: Generator | None
    augment: Augment | None

    def __len__(self) -> int:
        return -(-len(self.data) // self.batch_size)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        n = len(self.data)
        order = torch.arange(n) if self.generator is None else torch.randperm(n, generator=self.generator)
        parts = order.split(self.batch_size)
        for index, inputs in zip(parts, self.data.read(parts, self.generator), strict=True):
            if self.augment is not None and self.generator is not None:
                inputs = self.augment(inputs, self.generator)
            if inputs.ndim == 4:
                # Convolutions on a CPU are faster when the channels of a pixel lie side by side.
                inputs = inputs.contiguous(memory_format=torch.channels_last)
            yield inputs, self.data.targets.index_select(0, index.to(self.data.targets.device))


def batches(data: Examples, batch_size: int, generator: Generator | None, augment: Augment | None = None) -> Batches:
    """The examples of `data` in batches, the last one as large as what is left.

    Args:
        data: the examples.
        batch_size: examples per batch.
        generator: source of the order and of the augmentation; without one the order is that of `data`.
        augment: applied to each batch of inputs.

    Raises:
        DataError: there is nothing to iterate over, or an augmentation without a generator.
    """
    if batch_size < 1 or len(data) == 0:
        raise DataError(f"batches of {batch_size} from {len(data)} examples: both must be at least 1")
    if augment is not None and generator is None:
        raise DataError(f"{augment} needs chance: give a generator, such as torch.Generator().manual_seed(0)")
    return Batches(data, batch_size, generator, augment)
