"""What every rival trains on: the same network, pictures, order, shifts, loss and epochs; needs nothing but torch."""

import importlib.util
import itertools
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

ZOO = Path(__file__).resolve().parents[2] / "src" / "tighten" / "zoo" / "lenet.py"
PLAIN_STEPS = 24
"""Steps of plain training timed before each epoch: what an epoch costs is told beside them."""

Target = tuple[Tensor, Tensor]
"""Classes `[N]` and the dense network's outputs `[N, 10]`."""
Criterion = Callable[[Tensor, Target], Tensor]


def new_network() -> nn.Module:
    """LeNet-5 from its own file: the package around it is not imported, rivals' environments lack what it needs."""
    spec = importlib.util.spec_from_file_location("lenet", ZOO)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    net: nn.Module = module.LeNet5()
    return net


@dataclass
class Lesson:
    """Training from the dense network.

    Args:
        start: of `start.prepare`: pictures, classes, the dense network and its outputs.
        epochs: in all, whatever a method does with them.
        seed: of order and shifts.
        precision: "bf16" or "fp32", in which the network computes.
        temperature, weight: of the loss that learns from the dense network's outputs.
    """

    start: dict[str, Any]
    epochs: int
    seed: int
    precision: str
    temperature: float
    weight: float
    done: int = 0
    losses: list[float] = field(default_factory=list)
    plain_seconds: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        torch.manual_seed(self.seed)
        self._generator = torch.Generator().manual_seed(self.seed)
        self._plain = self.network()
        self._plain_optimizer = torch.optim.Adam(self._plain.parameters(), lr=1e-4)
        # What torch prepares at its first steps belongs to nobody's cost.
        self._plain_steps(2)

    def network(self) -> nn.Module:
        """The dense network, anew."""
        net = new_network()
        net.load_state_dict(self.start["dense"])
        return net.to(memory_format=torch.channels_last)

    @property
    def steps_per_epoch(self) -> int:
        return math.ceil(len(self.start["targets"]) / self.start["batch_size"])

    @property
    def steps(self) -> int:
        """Of all epochs."""
        return self.epochs * self.steps_per_epoch

    def batches(self, generator: torch.Generator) -> Iterator[tuple[Tensor, Target]]:
        """One epoch of shuffled, shifted pictures."""
        start, moves = self.start, 2 * self.start["pixels"] + 1
        side = start["pictures"].shape[-1] - moves + 1
        windows = start["pictures"].unfold(1, side, 1).unfold(2, side, 1)
        for index in torch.randperm(len(windows), generator=generator).split(start["batch_size"]):
            dy, dx = torch.randint(moves, (2, len(index)), generator=generator)
            inputs = windows[index, dy, dx].float().div_(255).sub_(start["mean"]).div_(start["std"]).unsqueeze(1)
            inputs = inputs.contiguous(memory_format=torch.channels_last)
            yield inputs, (start["targets"][index], start["outputs"][index, dy * moves + dx].float())

    def criterion(self, outputs: Tensor, target: Target) -> Tensor:
        """A part from the classes, the rest from the dense network's outputs."""
        classes, wanted = target
        outputs, t = outputs.float(), self.temperature
        soft = F.kl_div(
            F.log_softmax(outputs / t, 1), F.log_softmax(wanted / t, 1), log_target=True, reduction="batchmean"
        )
        return (1 - self.weight) * F.cross_entropy(outputs, classes) + self.weight * t * t * soft

    def epoch(
        self,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        scheduler: torch.optim.lr_scheduler.LRScheduler | None = None,
        *,
        criterion: Criterion | None = None,
        before_step: Callable[[], None] | None = None,
    ) -> None:
        """One pass over the training pictures.

        Args:
            model: of which `forward` gives the outputs.
            optimizer, scheduler: stepped after each batch.
            criterion: in place of the lesson's own, for a method that wraps that.
            before_step: called before each batch.

        Raises:
            SystemExit: the epochs are used up, or the loss is not finite.
        """
        if self.done == self.epochs:
            raise SystemExit(f"a method asked for more than {self.epochs} epochs: mend its settings")
        self.done += 1
        self._time_plain()
        model.train()
        total = 0.0
        for batch in self.batches(self._generator):
            if before_step is not None:
                before_step()
            total += self._step(model, optimizer, batch, criterion or self.criterion)
            if scheduler is not None:
                scheduler.step()
        self.losses.append(total / self.steps_per_epoch)

    def cosine(self, optimizer: torch.optim.Optimizer, epochs: int | None = None) -> Any:
        """A learning rate that falls along a cosine over so many epochs, or all of them."""
        steps = self.steps if epochs is None else epochs * self.steps_per_epoch
        return torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: 0.5 * (1 + math.cos(math.pi * min(1.0, step / max(1, steps))))
        )

    def _step(
        self,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        batch: tuple[Tensor, Target],
        criterion: Criterion,
    ) -> float:
        inputs, target = batch
        with torch.autocast("cpu", torch.bfloat16, enabled=self.precision == "bf16"):
            outputs = model(inputs)
        loss = criterion(outputs, target)
        value = loss.item()
        if not math.isfinite(value):
            raise SystemExit(f"the loss is {value} in epoch {self.done} of the method's training")
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return value

    def _time_plain(self) -> None:
        """Some steps of plain training of a network of its own."""
        steps = min(PLAIN_STEPS, self.steps_per_epoch)
        start = time.process_time()
        self._plain_steps(steps)
        self.plain_seconds.append((time.process_time() - start) / steps * self.steps_per_epoch)

    def _plain_steps(self, count: int) -> None:
        self._plain.train()
        for batch in itertools.islice(self.batches(torch.Generator().manual_seed(self.done)), count):
            self._step(self._plain, self._plain_optimizer, batch, self.criterion)

    def plain_time(self) -> float:
        """Processor seconds that went into timing plain training."""
        return sum(self.plain_seconds) * min(PLAIN_STEPS, self.steps_per_epoch) / self.steps_per_epoch


def detached(model: nn.Module) -> dict[str, Tensor]:
    """Weights as plain tensors of their own."""
    return {name: tensor.detach().clone().contiguous() for name, tensor in model.state_dict().items()}
