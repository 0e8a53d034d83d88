"""Files written whole or not at all, and the checkpoints of a run: the last one and the one before it."""

from __future__ import annotations

import io
import json
import os
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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
    with _told(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, data)


def write_json(path: Path, data: Any) -> None:
    """JSON in a file, whole or not at all."""
    write(path, (json.dumps(data, indent=2) + "\n").encode())


def save(path: Path, state: dict[str, Any]) -> None:
    """A checkpoint: tensors and plain data. The one that was there becomes the one before it.

    Raises:
        RunError: it cannot be written; the old ones are untouched.
    """
    fresh = _beside(path, "next")
    write(fresh, _packed(state))
    with _told(path):
        if path.exists():
            os.replace(path, _beside(path, "before"))
        os.replace(fresh, path)


def save_alone(path: Path, state: dict[str, Any]) -> None:
    """A checkpoint in place of the one that was there.

    Raises:
        RunError: it cannot be written; the old one is untouched.
    """
    write(path, _packed(state))


def load(path: Path, note: Callable[[str], None]) -> dict[str, Any] | None:
    """The last checkpoint that is whole, None where none was ever written; nothing in a file is executed.

    Its tensors are in main memory.

    Args:
        path: what `save` was given.
        note: is told of a damaged checkpoint that another one takes the place of.

    Raises:
        RunError: there are only damaged ones.
    """
    before = _beside(path, "before")
    found = [file for file in (path, before) if file.exists()]
    damage: list[str] = []
    for file in found:
        try:
            state: dict[str, Any] = _read(file)
        except Exception as error:
            damage.append(str(error).partition("\n")[0] or type(error).__name__)
            continue
        if damage:
            note(f"the checkpoint '{path}' is damaged ({damage[0]}): going on from the one before it")
        return state
    if found:
        raise RunError(f"the checkpoint '{found[0]}' cannot be read ({damage[0]}): remove it to start anew")
    return None


def _packed(state: dict[str, Any]) -> bytes:
    buffer = io.BytesIO()
    torch.save(state, buffer)
    return buffer.getvalue()


@contextmanager
def _told(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        why = error.strerror or error
        raise RunError(
            f"'{path}' cannot be written ({why}): make room and go on with --resume, or choose another --out"
        ) from error


def _read(path: Path) -> Any:
    # torch.load does not look at the checksums of what it reads.
    with zipfile.ZipFile(path) as archive:
        if (wrong := archive.testzip()) is not None:
            raise zipfile.BadZipFile(f"its part '{wrong}' was changed")
    return torch.load(path, map_location="cpu", weights_only=True)


def _beside(path: Path, what: str) -> Path:
    return path.with_name(f"{path.stem}.{what}{path.suffix}")
