"""Epochs of plain training, for the dense network and within each stage."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim.lr_scheduler import LRScheduler

from tighten.data import Augment, Examples, ImageData, batches
from tighten.engine.distillation import Distillation
from tighten.engine.evaluate import correct
from tighten.engine.events import Epoch, Listener
from tighten.engine.precision import Precision
from tighten.engine.processes import Processes
from tighten.errors import TrainingError
from tighten.recipes import Distill, Training


@dataclass
class Trainer:
    """A model with its data and its source of chance.

    Args:
        model: the network, on the device.
        data: train, validation and test examples.
        processes: those that train it together.
        batch_size: examples per step, of all processes.
        generator: all chance of order and augmentation.
        augment: random changes to training batches.
        optimizer: gives an optimizer for the model at a learning rate.
        listener: hears of progress.
        teacher: the dense network, for distillation.
        precision: what the network computes in while it trains; weights are float32 in any case.
    """

    model: nn.Module
    data: ImageData
    processes: Processes
    batch_size: int
    generator: torch.Generator
    augment: Augment | None
    optimizer: Callable[[nn.Module, float], torch.optim.Optimizer]
    listener: Listener
    teacher: nn.Module | None = None
    precision: Precision = "fp32"

    def __post_init__(self) -> None:
        self._training = self.processes.training(self.model)

    @property
    def device(self) -> torch.device:
        """What the network is computed on."""
        return self.processes.device

    @property
    def steps_per_epoch(self) -> int:
        """Optimizer steps in one epoch."""
        return math.ceil(len(self.data.train) / self.batch_size)

    def inputs(self, most: int, augmented: bool = False) -> Iterator[Tensor]:
        """At most so many training inputs in batches, with a chance of their own that is always the same."""
        # Data sets may lie in the order of their classes.
        chance = torch.Generator().manual_seed(0)
        data, augment = (self.data.train, self.augment) if augmented else (self.data.train.unchanged(), None)
        for number, (inputs, _) in enumerate(batches(data, self.batch_size, chance, augment)):
            if number * self.batch_size >= most:
                return
            yield inputs.to(self.device)

    def accuracy(self, data: Examples) -> float:
        """The share of examples that the model gets right, in percent, counted by all processes together.

        Raises:
            DataError: one of them cannot read its examples.
        """
        right = 0
        with self.processes.together():
            right = correct(self.model, data, self.processes.share)
        return 100 * self.processes.total(right) / len(data)

    def keep_teacher(self) -> None:
        """The model as it is now, kept to learn from."""
        self.teacher = copy.deepcopy(self.model).eval()

    def epoch(
        self, name: str, number: int, training: Training, optimizer: torch.optim.Optimizer, scheduler: LRScheduler
    ) -> Epoch:
        """One pass over the training data, and the validation after it.

        Raises:
            TrainingError: the loss is not finite.
            DataError: a process cannot read its examples.
        """
        start, total = time.perf_counter(), 0.0
        self.model.train()
        with self.processes.own_chance(), self._lesson(training.distill) as lesson:
            for inputs, targets, size in self._batches(training.augment):
                # Of the loss of the whole batch; the gradients of all processes are averaged.
                part = len(targets) / size
                if not len(targets):  # all processes go through the network, or none
                    inputs, targets = self.data.train.first(), torch.zeros(1, dtype=torch.int64)
                loss = self._loss(inputs.to(self.device), targets.to(self.device), lesson)
                value = self.processes.total(part * loss.item())
                if not math.isfinite(value):
                    raise TrainingError(
                        f"the loss is {value} in epoch {number} of '{name}': "
                        "lower the learning rate or rho in the recipe"
                    )
                optimizer.zero_grad()
                self.processes.accelerator.backward(self.processes.count * part * loss)
                optimizer.step()
                scheduler.step()
                total += value * size
                self.listener.step(value)
        self.processes.share_buffers(self.model)
        return Epoch(
            stage=name,
            epoch=number,
            epochs=training.epochs,
            loss=total / len(self.data.train),
            accuracy=self.accuracy(self.data.validation),
            rho=0.0,
            primal=0.0,
            dual=0.0,
            seconds=time.perf_counter() - start,
        )

    def _batches(self, augmented: bool) -> Iterator[tuple[Tensor, Tensor, int]]:
        """Inputs and targets of this process, and the examples of the whole batch."""
        augment = self.augment if augmented else None
        data = self.data.train if augmented else self.data.train.unchanged()
        loader = batches(data, self.batch_size, self.generator, augment, self.processes.share)
        turns = iter(loader)
        for size in loader.sizes:
            with self.processes.together():
                inputs, targets = next(turns)
            yield inputs, targets, size

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bf16")

    def _loss(self, inputs: Tensor, targets: Tensor, lesson: Distillation | None) -> Tensor:
        with self._autocast():
            outputs = self._training(inputs)
        loss = F.cross_entropy(outputs.float(), targets)
        if lesson is None or self.teacher is None:
            return loss
        with torch.no_grad(), self._autocast():
            wanted = self.teacher(inputs)
        return lesson.loss(loss, outputs, wanted)

    def _lesson(self, distill: Distill | None) -> AbstractContextManager[Distillation | None]:
        if distill is None or self.teacher is None:
            return nullcontext()
        return Distillation(self.model, self.teacher, distill)
