"""The command line as a launcher starts it, and what may go wrong in one process alone."""

from __future__ import annotations

import os
import resource
import signal
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from tighten.cli import main
from tighten.data import ImageData, TensorData, digits
from tighten.engine import Listener, run
from tighten.engine.processes import Processes
from tighten.errors import DataError, TightenError
from tighten.recipes import parse

# Of 641 examples the last batch has one, so that the first of two processes has none of it.
RECIPE = """
name = "tiny"
model = "tighten.zoo:DigitsNet"
data = "tests.parallel.program:source"
validation = 756
batch_size = 64
precision = "fp32"
optimizer = "torch.optim:SGD"
optimizer_settings = { momentum = 0.9 }
augment = [{ name = "Shift", pixels = 1, per = "sample" }]
[dense]
epochs = 2
learning_rate = 0.2
[[stages]]
epochs = 2
learning_rate = 0.05
method = { name = "Admm", rho = 1e-2, rho_end = 1e-1 }
budget = { rate = 5 }
sets = { "*" = { name = "Sparse" } }
distill = { weight = 0.5, features = ["conv2"] }
[[stages]]
epochs = 2
learning_rate = 0.02
average = 0.6
method = { name = "Freeze", passes = 2 }
sets = { "*" = { name = "Uniform", bits = 3, zero = false } }
"""


def source(root: Path | None, **chance: Any) -> ImageData:
    return digits(None, **chance)


def torn(root: Path | None, **chance: Any) -> ImageData:
    """Digits that the second process finds, but cannot read after the first batches."""
    data = digits(None, **chance)
    if dist.get_rank() == 0:
        return data
    return replace(data, train=Torn(data.train.inputs, data.train.targets))


class Torn(TensorData):
    def read(self, parts: Any, generator: Any) -> Any:
        for number, inputs in enumerate(super().read(parts, generator)):
            if number == 2:
                raise DataError("the third batch cannot be read: get a good copy")
            yield inputs


def mortal(root: Path | None, **chance: Any) -> ImageData:
    """Digits whose second process is killed in the first stage, the first time that a launcher starts it."""
    data = digits(None, **chance)
    if dist.get_rank() == 0 or os.environ.get("TORCHELASTIC_RESTART_COUNT") != "0":
        return data
    return replace(data, train=Mortal(data.train.inputs, data.train.targets))


class Mortal(TensorData):
    epochs = 0

    def read(self, parts: Any, generator: Any) -> Any:
        Mortal.epochs += 1
        for number, inputs in enumerate(super().read(parts, generator)):
            if Mortal.epochs == 4 and number == 2:
                os.kill(os.getpid(), signal.SIGKILL)
            yield inputs


def nowhere(root: Path | None, **chance: Any) -> ImageData:
    """Digits that are missing for the second process."""
    if dist.get_rank() == 1:
        raise DataError("there are no digits here: give --data DIR")
    return digits(None, **chance)


class Stop(Listener):
    def epoch(self, epoch: Any) -> None:
        if epoch.stage == "admm":
            os._exit(3)


def launched(argv: list[str]) -> None:
    """The program, as `torchrun -m tighten ...` starts it."""
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    sys.argv = ["tighten", *argv]
    main()


def said(folder: Path, text: str, room: int = 0) -> str:
    """What a run in this process and its like fails with; empty where it does not.

    Args:
        folder: of the run.
        text: the recipe.
        room: bytes that the first process can write into a file.
    """
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    if room and dist.get_rank() == 0:
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, limits[1]))
    try:
        run(parse(text, "test"), text, folder, timed=False)
    except TightenError as error:
        return f"{type(error).__name__}: {error}"
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    return ""


def all_said(jobs: list[tuple[Any, ...]]) -> list[str]:
    return [said(*job) for job in jobs]


def draws() -> list[float]:
    """Of a network in training, and from then on."""
    torch.manual_seed(0)
    processes = Processes()
    with processes.own_chance():
        own = float(torch.rand(()))
    return [own, float(torch.rand(()))]


def stopped(folder: Path) -> None:
    """A run that ends in the middle as if it were killed."""
    run(parse(RECIPE, "test"), RECIPE, folder, listener=Stop())


def resumed(folder: Path, text: str = RECIPE) -> None:
    run(parse(text, "test"), text, folder, resume=True, timed=False)
