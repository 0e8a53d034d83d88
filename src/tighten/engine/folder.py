"""Run folders belong to one recipe and seed."""

from __future__ import annotations

from pathlib import Path

from tighten.errors import RunError


def check_folder(out: Path, kept: Path, ours: str, resume: bool) -> str:
    """The text `ours`, where a run may work in the folder `out`.

    Args:
        out: the folder; it need not exist.
        kept: the file in it that says whose it is.
        ours: what that file says in our folder.
        resume: whether the run goes on with what is there.

    Raises:
        RunError: the folder is another run's, or no run folder.
    """
    if out.exists() and not out.is_dir():
        raise RunError(f"'{out}' is a file, not a run folder: choose another --out")
    if kept.exists():
        if kept.read_text(encoding="utf-8") != ours:
            raise RunError(
                f"the run folder '{out}' belongs to another recipe, seed, effort or trained network: "
                "choose another --out"
            )
        if not resume:
            raise RunError(
                f"the run folder '{out}' already holds this run: add --resume to go on, or choose another --out"
            )
    elif out.exists() and any(out.iterdir()):
        raise RunError(f"'{out}' is not empty and no run folder: choose another --out")
    return ours
