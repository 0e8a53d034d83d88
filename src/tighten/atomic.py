"""Files written whole or not at all."""

from __future__ import annotations

import contextlib
import os
import secrets
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

try:
    import fcntl
except ImportError:  # Windows: there what a kill leaves behind stays
    fcntl = None  # type: ignore[assignment]

_SECONDS_UNTIL_STALE = 60


def write_whole(path: Path, data: bytes) -> None:
    """The bytes in a file; a kill or a full disk leaves the old file or the new one.

    A kill may also leave an unfinished file beside it, which a later call removes.

    Raises:
        OSError: the file cannot be written.
    """
    with whole(path) as file:
        file.write(data)


@contextlib.contextmanager
def whole(path: Path) -> Iterator[BinaryIO]:
    """A file to write to, which takes the place of `path` at the end, where all went well; see `write_whole`.

    Raises:
        OSError: the file cannot be written.
    """
    _remove_unfinished(path)
    # The other file is in the same folder, because only within one file system is replacing atomic.
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        with beside.open("xb") as file:
            _locked(file)
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)


def _remove_unfinished(path: Path) -> None:
    """Removes what killed writers of `path` left behind: their locks ended with them.

    Young files are left alone: their writer may not have come to its lock, or just have let go of it.
    """
    start, stale = f".{path.name}.", time.time() - _SECONDS_UNTIL_STALE
    # Whatever goes wrong here is no reason not to write.
    with contextlib.suppress(OSError):
        for other in list(path.parent.iterdir()):
            if other.name.startswith(start) and other.suffix == ".tmp" and other.stat().st_mtime < stale:
                with other.open("rb") as file:
                    if _locked(file):
                        other.unlink()


def _locked(file: BinaryIO) -> bool:
    """Whether the file is now locked by this process; the lock ends with the file, or with the process."""
    if fcntl is None:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
