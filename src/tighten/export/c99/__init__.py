"""A network as C99: one .c and one .h file that need nothing but a compiler."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

from tighten.artifact import Artifact
from tighten.codes import Code
from tighten.errors import ArtifactError
from tighten.export.c99.alive import drop_zero_channels
from tighten.export.c99.lowering import lower
from tighten.export.c99.memory import give_halos
from tighten.export.c99.program import program
from tighten.export.network import Network
from tighten.export.writing import write
from tighten.folding import fold
from tighten.folding.trace import trace

__all__ = ["c99"]


def c99(artifact: Artifact, network: Callable[[], Network], path: Path) -> list[str]:
    """The network as `NAME.c` and `NAME.h`, with the function `NAME_run(input, output)` for one input.

    Definition: float32 throughout, no heap, no library. Dead neurons are folded away, batch norm goes into the layer
    before it, weights are read-only tables: kept ones only where that is shorter, as indices of a few bits where they
    have few values. Equal to the model in eval mode up to the rounding of sums.

    Args:
        artifact: the weights; where they are codes, these say which values they take.
        network: makes the network.
        path: of the .c file; the other one is written beside it.

    Raises:
        ArtifactError: an operation cannot be written, a weight is not finite, or a file cannot be written.
    """
    header = path.with_suffix(".h")
    if header == path:
        raise ArtifactError(
            f"'{path}' is where the header goes: choose another --out, such as {path.with_suffix('.c')}"
        )
    given = network()
    model = copy.deepcopy(given.model)
    _check_finite(model)
    folded = fold(model, given.example)
    traced = trace(model, (given.example,))
    if isinstance(traced, str):
        raise ArtifactError(f"cannot be written as C99: {traced}; use --to onnx for this network")
    operations = lower(traced, _codes(artifact, given.model))
    drop_zero_channels(operations)
    give_halos(operations)
    text = program(operations, path.stem)
    write(header, text.header.encode())
    write(path, text.source.encode())
    neurons = folded.constant + folded.unread
    return [*([f"folded away: {neurons:,} dead neurons"] if neurons else []), *text.lines]


def _codes(artifact: Artifact, model: nn.Module) -> dict[str, Code]:
    """The codes by the names of the model's tensors, where they describe them."""
    found = {}
    for name, value in model.state_dict().items():
        code = artifact.codes.get(artifact.aliases.get(name, name))
        if code is not None and torch.equal(code.dense(), value):
            found[name] = code
    return found


def _check_finite(model: nn.Module) -> None:
    for name, value in model.state_dict().items():
        if value.is_floating_point() and not bool(torch.isfinite(value).all()):
            raise ArtifactError(
                f"'{name}' holds values that are not finite, which C99 has no literals for: mend it first"
            )
