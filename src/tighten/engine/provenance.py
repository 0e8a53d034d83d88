"""Where and with what a run was made, so that it can be made again."""

from __future__ import annotations

import platform
import subprocess
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy
import torch

SECONDS = 10


def provenance(root: Path | None, weights: str | None, start: Path | None) -> dict[str, Any]:
    """Versions, machine and time, the user's repository, and the files and folders that were given, as JSON-able data.

    Args:
        root: folder of the data set.
        weights: file of trained weights.
        start: `.tight` file that the run went on from.
    """
    return {
        "tighten": version("tighten"),
        "torch": torch.__version__,
        "numpy": numpy.__version__,
        "python": platform.python_version(),
        "threads": torch.get_num_threads(),
        "machine": platform.machine(),
        "processor": processor(),
        "system": platform.system(),
        "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "commit": commit(Path.cwd()),
        "root": None if root is None else str(root),
        "weights": weights,
        "start": None if start is None else str(start),
    }


def processor() -> str:
    """The name of the processor, or of its kind where the system does not say more."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return next(iter(names), "") or platform.processor() or platform.machine()


def commit(folder: Path) -> str | None:
    """The commit of the Git repository around a folder, "+ changes" behind it where files differ from it.

    None where there is no repository, no commit or no Git.
    """
    named = _git(folder, "rev-parse", "HEAD")
    if not named:
        return None
    # What is not tracked is mostly run folders, and says nothing of the code.
    changed = _git(folder, "status", "--porcelain", "--untracked-files=no")
    return f"{named} + changes" if changed or changed is None else named


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, text=True, timeout=SECONDS, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
