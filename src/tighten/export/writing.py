"""Exported files, written whole or not at all."""

from __future__ import annotations

from pathlib import Path

from tighten.artifact import Artifact
from tighten.atomic import write_whole
from tighten.errors import ArtifactError


def write(path: Path, data: bytes) -> None:
    """The bytes in a file; what was there before is replaced whole or stays.

    Raises:
        ArtifactError: the file cannot be written.
    """
    try:
        write_whole(path, data)
    except OSError as error:
        raise ArtifactError(f"'{path}' cannot be written ({error.strerror or error}): choose another --out") from error


def size_line(artifact: Artifact, written: int) -> str:
    """What was written beside what the tensors cost as they are."""
    dense = sum(value.numel() * value.element_size() for value in artifact.state_dict().values())
    return f"{written:,} bytes; the tensors as they are: {dense:,}"


def listed(names: list[str]) -> str:
    """The first few names and how many there are besides."""
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
