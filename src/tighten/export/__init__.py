"""Compressed networks in forms that other programs read; one file each, listed here."""

from __future__ import annotations

from pathlib import Path

from tighten.artifact import Artifact
from tighten.errors import ArtifactError
from tighten.export.dense import safetensors

FORMS = {"safetensors": safetensors}


def export(artifact: Artifact, to: str, out: Path | None, *, beside: Path) -> Path:
    """The artifact written in the form `to`; returns the path written.

    Args:
        artifact: what to write.
        to: a key of `FORMS`.
        out: the file; None for the input's name with the form as its suffix.
        beside: the file that the artifact was read from.

    Raises:
        ArtifactError: there is no such form, or the file cannot be written.
    """
    if to not in FORMS:
        raise ArtifactError(f"there is no export form '{to}': give one of {', '.join(FORMS)}")
    path = out or beside.with_suffix(f".{to}")
    FORMS[to](artifact, path)
    return path
