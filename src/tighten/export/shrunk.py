"""The small network without its dead neurons, as a program that plain PyTorch runs."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from tighten.artifact import Artifact
from tighten.compact import Compact, compact
from tighten.errors import ArtifactError
from tighten.export.network import Network
from tighten.export.writing import size_line, write

_BATCH = 2
"""Of the inputs that the program is made with: a batch of one would be taken for a constant."""


def shrunk(artifact: Artifact, network: Callable[[], Network], path: Path) -> list[str]:
    """The network with all its dead rows, columns and channels removed, as a `torch.export` program.

    A state dict would not do: the class of the model makes its layers in their full widths. The program needs neither
    the class nor tighten: `torch.export.load(path).module()` is a module that takes batches of any size. It is
    what the network computes in eval mode.

    Raises:
        ArtifactError: the network cannot be exported, or the file cannot be written.
        PlanError: as `tighten.compact.compact`.
    """
    given = network()
    small = compact(given.model, given.example)
    data = _program(small, given)
    _check(small, data, given)
    write(path, data)
    return [
        *str(small).splitlines(),
        size_line(artifact, len(data)),
        f"use: torch.export.load('{path}').module()",
    ]


def _program(small: Compact, given: Network) -> bytes:
    inputs = given.example.expand(_BATCH, *given.example.shape[1:]).contiguous()
    model = small.model.eval()
    file = io.BytesIO()
    try:
        program = torch.export.export(model, (inputs,), dynamic_shapes=({0: torch.export.Dim.DYNAMIC},))
        torch.export.save(program, file)
    except Exception as error:  # whatever torch.export refuses
        raise ArtifactError(
            f"torch.export cannot hold {type(model).__name__} ({type(error).__name__}: {_first_line(error)}): "
            "use tighten.compact in Python, or --to safetensors for the full network"
        ) from error
    return file.getvalue()


@torch.no_grad()
def _check(small: Compact, data: bytes, given: Network) -> None:
    program: Any = torch.export.load(io.BytesIO(data)).module()
    for size in (1, _BATCH + 1):
        x = given.example.expand(size, *given.example.shape[1:]).contiguous()
        try:
            torch.testing.assert_close(program(x), small.model(x))
        except Exception as error:
            raise ArtifactError(
                f"the program gives something else than {type(small.model).__name__} for a batch of {size} "
                f"({_first_line(error)}): use tighten.compact in Python, or --to safetensors for the full network"
            ) from error


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else "no message"
