"""Labelled examples as plain tensors."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from tighten.errors import DataError


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
        fill: the normalised value of the background, which pads a shifted picture.
    """

    train: TensorData
    validation: TensorData
    test: TensorData
    classes: int
    fill: float
