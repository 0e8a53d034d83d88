"""The processes of a run: all do the same on their shares of each batch, and the first one writes and speaks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import torch
from accelerate import Accelerator, DistributedType
from accelerate.utils import broadcast, broadcast_object_list, gather_object
from torch import nn

from tighten.data import Share
from tighten.engine.events import Listener
from tighten.errors import RunError, TightenError

T = TypeVar("T")
OTHER_WAYS = (DistributedType.FSDP, DistributedType.DEEPSPEED, DistributedType.MEGATRON_LM, DistributedType.XLA)


class Processes:
    """Those that `torchrun` or `accelerate launch` started, or this one alone.

    Each holds the same network and comes to the same decisions, because it is told the same numbers: losses and
    counts are added up, and what only one can do, or what may fail in one alone, is told to all.

    Raises:
        RunError: the launcher was asked to shard the network.
    """

    def __init__(self) -> None:
        self.accelerator = Accelerator(
            # Its own mixed precision is set once for a whole process; the trainer sees to that.
            mixed_precision="no",
            # Told, it lets processes without a GPU find each other, too.
            cpu=not torch.accelerator.is_available(),
        )
        if self.accelerator.distributed_type in OTHER_WAYS:
            raise RunError(
                f"the command line keeps the whole network in each process and was started for "
                f"{self.accelerator.distributed_type.value}: launch it without, or shard a model of your own "
                "and give it to tighten.Session"
            )

    @property
    def count(self) -> int:
        """How many there are."""
        return int(self.accelerator.num_processes)

    @property
    def is_first(self) -> bool:
        """Whether this is the one that writes and speaks."""
        return bool(self.accelerator.is_main_process)

    @property
    def device(self) -> torch.device:
        """What this process computes on."""
        found: torch.device = self.accelerator.device
        return found

    @property
    def share(self) -> Share:
        """What this process takes of each batch."""
        return Share(self.accelerator.process_index, self.count)

    def heard(self, listener: Listener) -> Listener:
        """The listener in the first process, one who says nothing in the others."""
        return listener if self.is_first else Listener()

    def training(self, model: nn.Module) -> nn.Module:
        """The model as it is to be called for a loss: gradients are then the mean over the processes."""
        wrapped: nn.Module = self.accelerator.prepare_model(model) if self.count > 1 else model
        return wrapped

    def total(self, value: float) -> float:
        """The sum over the processes, the same in each."""
        if self.count == 1:
            return value
        # Devices of Apple know no float64.
        kind = torch.float32 if self.device.type == "mps" else torch.float64
        found = self.accelerator.reduce(torch.tensor(value, dtype=kind, device=self.device), reduction="sum")
        return float(found)

    def share_buffers(self, model: nn.Module) -> None:
        """The running statistics of batch norm and other buffers of the first process, put in all."""
        broadcast(list(model.buffers()))

    def first(self, work: Callable[[], T]) -> T:
        """What the work gives in the first process, which alone does it; what it fails with fails all.

        Raises:
            TightenError: as the work does.
        """
        if self.count == 1:
            return work()
        told: list[tuple[T | None, TightenError | None]] = [(None, None)]
        if self.is_first:
            try:
                told = [(work(), None)]
            except TightenError as error:
                told = [(None, error)]
        result, failure = broadcast_object_list(told)[0]
        if failure is not None:
            raise failure
        done: T = result
        return done

    @contextmanager
    def together(self) -> Iterator[None]:
        """Work of each process for itself; where it fails in one, it fails in all.

        Raises:
            TightenError: as the work did in the first process in which it failed.
        """
        if self.count == 1:
            yield
            return
        failure: TightenError | None = None
        try:
            yield
        except TightenError as error:
            failure = error
        if self.total(failure is not None):
            raise next(error for error in gather_object([failure]) if error is not None)

    @contextmanager
    def own_chance(self) -> Iterator[None]:
        """The random numbers of a network, such as those of dropout, others in each process; one goes on as ever.

        What all draw from afterwards does not depend on how many there are.
        """
        if self.count == 1:
            yield
            return
        seed = int(torch.randint(2**62, ()))
        devices = [] if self.device.type == "cpu" else [self.device]
        with torch.random.fork_rng(devices, device_type=self.device.type if devices else "cuda"):
            torch.manual_seed(seed + self.share.index)
            yield
