"""Labelled examples as plain tensors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Generator, Tensor

from tighten.errors import DataError


class Examples(Protocol):
    """Labelled examples, in memory or read when they are needed."""

    @property
    def targets(self) -> Tensor:
        """`[N]`, int64."""

    def __len__(self) -> int: ...

    def read(self, parts: Sequence[Tensor], generator: Generator | None) -> Iterator[Tensor]:
        """The inputs at each of some runs of positions, as float32.

        Args:
            parts: positions, a batch each.
            generator: source of whatever is random about the reading itself, which is drawn at the call and does not
                depend on `parts`; None reads plainly.
        """

    def unchanged(self) -> Examples:
        """The same examples, always read plainly."""

    def first(self) -> Tensor:
        """The first input, plainly, as a batch of one."""


@dataclass(frozen=True, eq=False)
class TensorData:
    """Examples with their classes, held in memory.

    Args:
        inputs: `[N, ...]`, float32, normalised; pictures are `[N, channels, height, width]`.
        targets: `[N]`, int64.

    Raises:
        DataError: the two do not belong together.
    """

    inputs: Tensor
    targets: Tensor

    def __post_init__(self) -> None:
        if self.inputs.dtype != torch.float32 or self.targets.dtype != torch.int64:
            raise DataError(
                f"inputs are {self.inputs.dtype} and targets {self.targets.dtype}: "
                "give inputs.float() and targets.long()"
            )
        if self.targets.ndim != 1 or self.inputs.shape[:1] != self.targets.shape:
            raise DataError(
                f"inputs of shape {tuple(self.inputs.shape)} do not fit targets of shape "
                f"{tuple(self.targets.shape)}: give one class number per example"
            )

    def __len__(self) -> int:
        return len(self.targets)

    def read(self, parts: Sequence[Tensor], generator: Generator | None) -> Iterator[Tensor]:
        """The inputs at each of some runs of positions; nothing about it is random."""
        for index in parts:
            yield self.inputs.index_select(0, index.to(self.inputs.device))

    def unchanged(self) -> TensorData:
        """The same examples: they are read plainly anyway."""
        return self

    def first(self) -> Tensor:
        """The first input as a batch of one."""
        return self.inputs[:1]

    def to(self, device: torch.device) -> TensorData:
        """The examples in the memory of a device."""
        return TensorData(self.inputs.to(device), self.targets.to(device))

    def subset(self, index: Tensor) -> TensorData:
        """The examples at the given positions, copied."""
        return TensorData(self.inputs[index], self.targets[index])


@dataclass(frozen=True, eq=False)
class ImageData:
    """Pictures to train on, to decide with, and to report on.

    Args:
        train: what the weights are trained on.
        validation: held out from training; decides whatever is decided.
        test: only ever reported.
        classes: number of classes.
        fill: the normalised value of the background, which pads a shifted picture; of all channels or of each.
    """

    train: Examples
    validation: Examples
    test: Examples
    classes: int
    fill: float | tuple[float, ...]

    def to(self, device: torch.device) -> ImageData:
        """What is held in memory moved to a device, where batches are then made; what lies in files is left there."""
        parts = (self.train, self.validation, self.test)
        train, validation, test = (part.to(device) if isinstance(part, TensorData) else part for part in parts)
        return replace(self, train=train, validation=validation, test=test)
