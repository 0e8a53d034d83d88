"""The way from a dense network to a small one, as plain data."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from tighten.engine import checkpoint
from tighten.errors import RunError
from tighten.search import Step

Kind = Literal["prune", "exchange", "polish", "quantize"]


@dataclass(frozen=True)
class Walked(Step):
    """One step of the way, with what it cost and where it lies.

    Args:
        name: of the step's run folder.
        kind: what was done.
        origin: name of the step that it went on from; empty for the dense network.
        kept: entries of all sites that are not pruned.
        bytes: of the `.tight` file.
        test_accuracy: in percent; decides nothing.
        epochs: trained in this step.
        seconds: likewise.
    """

    name: str
    kind: Kind
    origin: str
    kept: int
    bytes: int
    test_accuracy: float
    epochs: int
    seconds: float


@dataclass(frozen=True)
class Way:
    """The whole way, as far as it was walked.

    Args:
        entries: of all sites of the dense network.
        dense: its validation accuracy, in percent.
        dense_test: its test accuracy, in percent.
        least: the validation accuracy that the gate asks for.
        steps: all attempts, in order.
        best: name of the step with the smallest network that passed; empty where none did.
    """

    entries: int
    dense: float
    dense_test: float
    least: float
    steps: tuple[Walked, ...] = ()
    best: str = ""

    @property
    def epochs(self) -> int:
        """Epochs of all steps, the failed ones too."""
        return sum(step.epochs for step in self.steps)

    def save(self, path: Path) -> None:
        """The way as JSON, whole or not at all."""
        checkpoint.write_json(path, asdict(self))

    @classmethod
    def load(cls, path: Path) -> Way:
        """What `save` wrote.

        Raises:
            RunError: the file is damaged.
        """
        try:
            data: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            return cls(**{**data, "steps": tuple(Walked(**step) for step in data["steps"])})
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise RunError(f"'{path}' cannot be read ({error}): remove it, and finished steps are read anew") from error
