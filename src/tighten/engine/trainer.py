"""Epochs of plain training, for the dense network and within each stage."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from accelerate import Accelerator
from torch import Tensor, nn
from torch.optim.lr_scheduler import LRScheduler

from tighten.data import Augment, ImageData, batches
from tighten.engine.evaluate import accuracy
from tighten.engine.events import Epoch, Listener
from tighten.engine.precision import Precision
from tighten.errors import TrainingError
from tighten.recipes import Distill, Training


@dataclass
class Trainer:
    """A model with its data and its source of chance.

    Args:
        model: the network, on the accelerator's device.
        data: train, validation and test examples.
        accelerator: the device.
        batch_size: examples per step.
        generator: all chance of order and augmentation.
        augment: random changes to training batches.
        optimizer: gives an optimizer for the model at a learning rate.
        listener: hears of progress.
        teacher: the dense network, for distillation.
        precision: what the network computes in while it trains; weights are float32 in any case.
    """

    model: nn.Module
    data: ImageData
    accelerator: Accelerator
    batch_size: int
    generator: torch.Generator
    augment: Augment | None
    optimizer: Callable[[nn.Module, float], torch.optim.Optimizer]
    listener: Listener
    teacher: nn.Module | None = None
    precision: Precision = "fp32"

    @property
    def steps_per_epoch(self) -> int:
        """Optimizer steps in one epoch."""
        return math.ceil(len(self.data.train) / self.batch_size)

    def inputs(self, most: int) -> Iterator[Tensor]:
        """At most so many training inputs in batches, unchanged, in an order of its own that is always the same."""
        # Data sets may lie in the order of their classes.
        order = torch.Generator().manual_seed(0)
        for number, (inputs, _) in enumerate(batches(self.data.train.unchanged(), self.batch_size, order)):
            if number * self.batch_size >= most:
                return
            yield inputs.to(self.accelerator.device)

    def keep_teacher(self) -> None:
        """The model as it is now, kept to learn from."""
        self.teacher = copy.deepcopy(self.model).eval()

    def epoch(
        self, name: str, number: int, training: Training, optimizer: torch.optim.Optimizer, scheduler: LRScheduler
    ) -> Epoch:
        """One pass over the training data, and the validation after it.

        Raises:
            TrainingError: the loss is not finite.
        """
        start, total = time.perf_counter(), 0.0
        self.model.train()
        device = self.accelerator.device
        augment = self.augment if training.augment else None
        data = self.data.train if training.augment else self.data.train.unchanged()
        for inputs, targets in batches(data, self.batch_size, self.generator, augment):
            loss = self._loss(inputs.to(device), targets.to(device), training.distill)
            value = loss.item()
            if not math.isfinite(value):
                raise TrainingError(
                    f"the loss is {value} in epoch {number} of '{name}': lower the learning rate or rho in the recipe"
                )
            optimizer.zero_grad()
            self.accelerator.backward(loss)
            optimizer.step()
            scheduler.step()
            total += value * len(targets)
            self.listener.step(value)
        return Epoch(
            stage=name,
            epoch=number,
            epochs=training.epochs,
            loss=total / len(self.data.train),
            accuracy=accuracy(self.model, self.data.validation),
            rho=0.0,
            primal=0.0,
            dual=0.0,
            seconds=time.perf_counter() - start,
        )

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.accelerator.device.type, torch.bfloat16, enabled=self.precision == "bf16")

    def _loss(self, inputs: Tensor, targets: Tensor, distill: Distill | None) -> Tensor:
        with self._autocast():
            outputs = self.model(inputs)
        loss = F.cross_entropy(outputs.float(), targets)
        if distill is None or self.teacher is None:
            return loss
        with torch.no_grad(), self._autocast():
            wanted = self.teacher(inputs)
        t = distill.temperature
        soft = F.kl_div(
            F.log_softmax(outputs.float() / t, 1),
            F.log_softmax(wanted.float() / t, 1),
            log_target=True,
            reduction="batchmean",
        )
        return (1 - distill.weight) * loss + distill.weight * t * t * soft
