"""Examples in batches, shuffled and augmented."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from tighten.data.augment import Augment
from tighten.data.share import ALL, Share
from tighten.data.tensors import Examples
from tighten.errors import DataError


@dataclass(frozen=True, eq=False)
class Batches:
    """An iterable over batches; each `iter()` is one new epoch, `len()` its number of batches.

    All chance is drawn from `generator`: its state, saved between two epochs, says all that follows. It is drawn for
    whole batches, so that each example is the same whoever takes it.
    """

    data: Examples
    batch_size: int
    generator: Generator | None
    augment: Augment | None
    share: Share = ALL

    def __len__(self) -> int:
        return -(-len(self.data) // self.batch_size)

    @property
    def sizes(self) -> list[int]:
        """Examples of each batch, in all shares together."""
        full, rest = divmod(len(self.data), self.batch_size)
        return [self.batch_size] * full + ([rest] if rest else [])

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        n = len(self.data)
        order = torch.arange(n) if self.generator is None else torch.randperm(n, generator=self.generator)
        parts = [part[self.share.of_batch(len(part))] for part in order.split(self.batch_size)]
        read = iter(self.data.read([part for part in parts if len(part)], self.generator))
        for size, index in zip(self.sizes, parts, strict=True):
            inputs = self._augmented(next(read) if len(index) else self.data.first()[:0], size)
            if inputs.ndim == 4:
                # Convolutions on a CPU are faster when the channels of a pixel lie side by side.
                inputs = inputs.contiguous(memory_format=torch.channels_last)
            yield inputs, self.data.targets.index_select(0, index.to(self.data.targets.device))

    def _augmented(self, inputs: Tensor, size: int) -> Tensor:
        if self.augment is None or self.generator is None:
            return inputs
        if len(inputs) == size:
            return self.augment(inputs, self.generator)
        mine = self.share.of_batch(size)
        whole = inputs.new_zeros(size, *inputs.shape[1:])
        whole[mine] = inputs
        return self.augment(whole, self.generator)[mine]


def batches(
    data: Examples,
    batch_size: int,
    generator: Generator | None,
    augment: Augment | None = None,
    share: Share = ALL,
) -> Batches:
    """The examples of `data` in batches, the last one as large as what is left.

    Args:
        data: the examples.
        batch_size: examples per batch, in all shares together.
        generator: source of the order and of the augmentation; without one the order is that of `data`.
        augment: applied to each batch of inputs.
        share: of each batch, where several processes take one each with equal generators.

    Raises:
        DataError: there is nothing to iterate over, or an augmentation without a generator.
    """
    if batch_size < 1 or len(data) == 0:
        raise DataError(f"batches of {batch_size} from {len(data)} examples: both must be at least 1")
    if augment is not None and generator is None:
        raise DataError(f"{augment} needs chance: give a generator, such as torch.Generator().manual_seed(0)")
    return Batches(data, batch_size, generator, augment, share)
