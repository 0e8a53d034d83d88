"""Compressed networks in forms that other programs read; one file each, listed here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from tighten.artifact import Artifact
from tighten.errors import ArtifactError
from tighten.export.c99 import c99
from tighten.export.compressed_tensors import compressed_tensors
from tighten.export.dense import safetensors
from tighten.export.network import Network
from tighten.export.onnx_float import onnx_float
from tighten.export.onnx_int import onnx_int
from tighten.export.shrunk import shrunk
from tighten.export.torchao import torchao
from tighten.suggest import nearest

__all__ = ["FORMS", "Exported", "Form", "Network", "export"]

Form: TypeAlias = Callable[[Artifact, Callable[[], Network], Path], list[str]]
"""Writes an artifact to a path and returns what there is to say of it, in lines for people. The network is built only
by the forms that ask for it, so that the others need neither a model nor the shape of its inputs."""

FORMS: dict[str, tuple[Form, str]] = {
    "c99": (c99, ".c"),
    "compressed-tensors": (compressed_tensors, ".compressed-tensors"),
    "onnx": (onnx_float, ".onnx"),
    "onnx-int": (onnx_int, ".int.onnx"),
    "safetensors": (safetensors, ".safetensors"),
    "shrunk": (shrunk, ".pt2"),
    "torchao": (torchao, ".torchao.pt"),
}
"""The forms by name, each with the suffix of its files."""


@dataclass(frozen=True)
class Exported:
    """What was written.

    Args:
        path: where.
        lines: what there is to say of it: sizes, and what could not be done.
    """

    path: Path
    lines: tuple[str, ...]


def export(
    artifact: Artifact,
    to: str,
    out: Path | None = None,
    *,
    beside: Path,
    network: Callable[[], Network] | None = None,
) -> Exported:
    """The artifact written in the form `to`.

    Args:
        artifact: what to write.
        to: a key of `FORMS`.
        out: the file; None for the input's name with the suffix of the form.
        beside: the file that the artifact was read from.
        network: makes the network; None for the model and the data set that the file names.

    Raises:
        ArtifactError: there is no such form, it cannot hold this network, or the file cannot be written.
    """
    if to not in FORMS:
        raise ArtifactError(f"there is no export form '{to}'{nearest(to, FORMS)}; give one of {', '.join(FORMS)}")
    write, suffix = FORMS[to]
    path = out or beside.with_suffix(suffix)
    if path.resolve() == beside.resolve():
        raise ArtifactError(f"'{path}' is the file that is exported: choose another --out")
    return Exported(path, tuple(write(artifact, network or (lambda: Network.of(artifact)), path)))
