"""What a run folder holds, read for its report."""

from __future__ import annotations

import json
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, TypeAdapter, ValidationError

from tighten.artifact import Artifact
from tighten.errors import RunError
from tighten.report.moments import Moment
from tighten.report.report import Report, report

T = TypeVar("T")


class Epoch(BaseModel):
    """One epoch of a history, see `tighten.engine.events.Epoch`."""

    stage: str
    epoch: int
    loss: float
    accuracy: float
    rho: float = 0.0
    primal: float = 0.0
    dual: float = 0.0
    residuals: dict[str, tuple[float, float]] = {}


class Result(BaseModel):
    """What `result.json` says; older files say less."""

    recipe: str
    seed: int
    dense_accuracy: float
    accuracy: float
    validation_accuracy: float
    epochs: int
    dense_epochs: int = 0
    seconds: float
    precision: str = ""
    tighten: str = ""
    torch: str = ""
    numpy: str = ""
    python: str = ""
    threads: int = 0
    machine: str = ""
    processor: str = ""
    system: str = ""
    finished: str = ""
    commit: str | None = None
    root: str | None = None
    weights: str | None = None
    effort: float = 1.0
    history: list[Epoch]
    dense_history: list[Epoch] = []


class Walked(BaseModel):
    """One step of a way, see `tighten.engine.way.Walked`."""

    name: str
    kind: str
    origin: str
    kept: int
    bytes: int
    accuracy: float
    test_accuracy: float
    passed: bool
    epochs: int
    seconds: float


class Way(BaseModel):
    """What `way.json` says."""

    entries: int
    dense: float
    dense_test: float
    least: float
    steps: list[Walked]
    best: str = ""


class Timing(BaseModel):
    """One network that was timed."""

    what: str
    milliseconds: float


class Latency(BaseModel):
    """What `latency.json` says, where somebody measured: milliseconds for one example, and how they were measured."""

    how: str
    timings: list[Timing]


@dataclass(frozen=True)
class Trained:
    """What a finished run went through.

    Args:
        result: what it ended with.
        moments: the network at the start and after each stage; empty in folders of older versions.
    """

    result: Result
    moments: tuple[Moment, ...]


@dataclass(frozen=True)
class Run(Trained):
    """A finished run with its network.

    Args:
        folder: its own.
        artifact: the `.tight` file.
        figures: its sites and bytes.
        recipe: the text that the folder belongs to.
        latency: where it was measured.
    """

    folder: Path
    artifact: Artifact
    figures: Report
    recipe: str
    latency: Latency | None


@dataclass(frozen=True)
class Shrunk:
    """A way of steps, finished or not.

    Args:
        folder: its own.
        way: all steps.
        chain: the runs that lead from the dense network to the best step, as far as their folders are there.
        last: the run of the best step; None where none passed, or where its folder is not there.
        recipe: the text that the folder belongs to.
    """

    folder: Path
    way: Way
    chain: tuple[Trained, ...]
    last: Run | None
    recipe: str


def read(folder: Path) -> Run | Shrunk:
    """What a folder of `tighten run` or `tighten shrink` holds.

    Raises:
        RunError: it is neither, is not finished, or a file in it is damaged.
        ArtifactError: its `.tight` file is missing or damaged.
    """
    if (folder / "way.json").exists():
        return _shrunk(folder)
    if (folder / "result.json").exists():
        return _run(folder)
    if (folder / "recipe.toml").exists():
        raise RunError(f"the run in '{folder}' is not finished: go on with `tighten run ... --out {folder} --resume`")
    raise RunError(
        f"'{folder}' is no run folder (it holds neither result.json nor way.json): give the --out of a finished run"
    )


def last_run(found: Run | Shrunk) -> Run | None:
    """The run itself, or that of the best step; None where no step passed."""
    return found if isinstance(found, Run) else found.last


def summary(recipe: str) -> str:
    """What the text of a recipe says in one line of itself; empty where it says nothing."""
    try:
        found = tomllib.loads(recipe).get("summary", "")
    except tomllib.TOMLDecodeError:
        return ""
    return found if isinstance(found, str) else ""


def _trained(folder: Path) -> Trained:
    moments = _optional(folder / "stages.json", list[Moment]) or ()
    return Trained(_checked(folder / "result.json", Result), tuple(moments))


def _run(folder: Path) -> Run:
    artifact = Artifact.open(folder / "net.tight")
    trained = _trained(folder)
    return Run(
        result=trained.result,
        moments=trained.moments,
        folder=folder,
        artifact=artifact,
        figures=report(artifact),
        recipe=_text(folder / "recipe.toml"),
        latency=_optional(folder / "latency.json", Latency),
    )


def _shrunk(folder: Path) -> Shrunk:
    way = _checked(folder / "way.json", Way)
    steps = {step.name: step for step in way.steps}
    passed = [step for step in way.steps if step.passed]
    best = steps.get(way.best) or min(passed, key=lambda step: step.bytes, default=None)
    names: list[str] = []
    # A file made by hand could lead in a circle.
    while best is not None and best.name not in names:
        names.append(best.name)
        best = steps.get(best.origin)
    # Or out of the folder.
    there = [folder / name for name in names if Path(name).name == name]
    there = [step for step in there if (step / "result.json").exists()]
    last = _run(there[0]) if there and there[0].name == names[0] else None
    # Older networks of the way are large, and nothing of them is drawn.
    chain = tuple(_trained(step) for step in reversed(there))
    return Shrunk(folder, way, chain, last, _text(folder / "shrink.toml"))


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _optional(path: Path, kind: type[T]) -> T | None:
    return _checked(path, kind) if path.exists() else None


def _checked(path: Path, kind: type[T]) -> T:
    try:
        data: Any = json.loads(path.read_text(encoding="utf-8"))
        return TypeAdapter(kind).validate_python(data)
    except (OSError, ValueError, RecursionError, ValidationError) as error:
        why = str(error).splitlines()
        raise RunError(
            f"'{path}' cannot be read ({'; '.join(line.strip() for line in why[:3])}): "
            "restore it, or carry out the run again in a new folder"
        ) from error
