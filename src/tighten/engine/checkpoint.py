"""Files written whole or not at all, and the checkpoint of a run."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import torch

from tighten.atomic import write_whole
from tighten.errors import RunError


def write(path: Path, data: bytes) -> None:
    """The bytes in a file; a kill leaves the old file or the new one.

    Raises:
        RunError: the file cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, data)
    except OSError as error:
        why = error.strerror or error
        raise RunError(f"'{path}' cannot be written ({why}): choose another --out or make room") from error


def write_json(path: Path, data: Any) -> None:
    """JSON in a file, whole or not at all."""
    write(path, (json.dumps(data, indent=2) + "\n").encode())


def save(path: Path, state: dict[str, Any]) -> None:
    """A checkpoint: tensors and plain data."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    write(path, buffer.getvalue())


def load(path: Path, device: torch.device) -> dict[str, Any]:
    """What `save` wrote; nothing in the file is executed.

    Raises:
        RunError: the file is damaged.
    """
    try:
        state: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
    except Exception as error:
        raise RunError(f"the checkpoint '{path}' cannot be read ({error}): remove it to start anew") from error
    return state
