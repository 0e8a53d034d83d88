"""The moments of a run, kept in its folder."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from tighten import sites
from tighten.engine import checkpoint
from tighten.report.moments import Moment
from tighten.session import Session


class Memory:
    """The start of a run and the end of each of its stages, in `stages.json`.

    Args:
        path: the file; what a killed run left in it is gone on with.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._kept: list[dict[str, Any]] = []

    def restore(self, done: int) -> None:
        """Back to where `done` stages were ended; what is missing or damaged is only missing in pictures."""
        try:
            found = json.loads(self._path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            found = []
        self._kept = found[: done + 1] if isinstance(found, list) else []

    def keep(self, name: str, accuracy: float, session: Session, facts: dict[str, Any]) -> None:
        """The session's model as it is now.

        Args:
            name: of the stage that ended.
            accuracy: on validation data.
            session: between two stages.
            facts: that the file will hold.
        """
        named = {site for stage in session.plan for site in sites.select(session.model, stage.sets)} | set(
            session.codes
        )
        tensors = sites.tensors(session.model, [n for n, _ in session.model.named_parameters() if n in named])
        moment = Moment.of(name, accuracy, _size(session, facts), tensors)
        self._kept.append(moment.to_data())
        checkpoint.write(self._path, json.dumps(self._kept).encode())


def _size(session: Session, facts: dict[str, Any]) -> int | None:
    if not session.codes or (session.done and not session.plan[session.done - 1].method.commits):
        return None
    artifact = session.artifact()
    return replace(artifact, meta={**facts, **artifact.meta}).sizes().total
