"""A `.tight` file held to its promises."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field, ValidationError
from rich.table import Table

from tighten.artifact import Artifact, load
from tighten.engine import accuracy
from tighten.engine.prepare import load_data
from tighten.errors import ArtifactError
from tighten.imports import call_named
from tighten.report import Report, report
from tighten.sets import from_data

OURS = {"model": "tighten.zoo:", "source": "tighten.data:"}
"""What is run without being asked for."""


class Facts(BaseModel):
    """What a file says of itself, as far as it is checked; more is allowed."""

    model: str | None = None
    data: str | None = None
    data_settings: dict[str, Any] = Field(default_factory=dict)
    claims: dict[str, float] = Field(default_factory=dict)
    sets: dict[str, Any] = Field(default_factory=dict)


@dataclass(frozen=True)
class Check:
    """One promise: what was promised, what was found in the file, and whether that holds."""

    what: str
    promised: str
    found: str
    holds: bool


@dataclass(frozen=True)
class Verification:
    """All promises of a file, checked."""

    checks: tuple[Check, ...]
    report: Report

    @property
    def holds(self) -> bool:
        """Whether every promise holds."""
        return all(check.holds for check in self.checks)

    def table(self) -> Table:
        """The checks as a table."""
        table = Table("what", "promised", "found in the file", "holds")
        for c in self.checks:
            table.add_row(c.what, c.promised, c.found, "[green]yes[/]" if c.holds else "[bold red]NO[/]")
        return table

    def to_data(self) -> dict[str, Any]:
        """The checks as JSON-able data."""
        return {"holds": self.holds, "checks": [asdict(c) for c in self.checks], "report": self.report.to_data()}


def verify(
    file: str | Path,
    *,
    root: Path | None = None,
    model: str | None = None,
    source: str | None = None,
    download: bool = False,
) -> Verification:
    """Counts, alphabets and, where data is at hand, accuracy, recomputed from the file alone.

    Args:
        file: a `.tight` file.
        root: folder of the data set that the file names; needed where that data set is kept in a folder.
        model: import path of the model; by default the one that the file names, if that is in `tighten.zoo`.
        source: import path of the data; by default the one that the file names, if that is in `tighten.data`.
        download: fetch the data set where it is missing.

    Raises:
        ArtifactError: the file is damaged, names no promises, or names a model or data of somebody's own.
        DataError: the data is missing.
    """
    artifact = Artifact.open(file)
    try:
        facts = Facts.model_validate(artifact.meta)
    except ValidationError as error:
        wrong = ".".join(str(part) for part in error.errors()[0]["loc"])
        raise ArtifactError(f"'{file}' says something of another form under '{wrong}': write it again") from error
    figures = report(artifact)
    checks = _promises(artifact, facts, figures)
    claim = facts.claims.get("accuracy")
    if claim is not None:
        found = _accuracy(Path(file), facts, {"model": model, "source": source}, root, download)
        # The same arithmetic in another order may turn one picture in ten thousand.
        checks.append(Check("test accuracy", f"{claim:.2f} %", f"{found:.2f} %", abs(found - claim) <= 0.02))
    if not checks:
        raise ArtifactError(f"'{file}' makes no promises: it was written without sets")
    return Verification(tuple(checks), figures)


def _promises(artifact: Artifact, facts: Facts, figures: Report) -> list[Check]:
    by_name = {site.name: site for site in figures.sites}
    checks = []
    for name, data in facts.sets.items():
        if name not in artifact.codes:
            checks.append(Check(name, str(data), "nothing of this name", False))
            continue
        promise, site = from_data(data), by_name[name]
        wrong = promise.violations(artifact.codes[name])
        levels = "free values" if site.levels is None else f"{site.levels} levels"
        found = wrong[0] if wrong else f"{site.kept:,} of {site.weights:,} kept, {levels}"
        checks.append(Check(name, repr(promise), found, not wrong))
    return checks


def _accuracy(file: Path, facts: Facts, given: dict[str, str | None], root: Path | None, download: bool) -> float:
    paths = {}
    for what, path in (("model", facts.model), ("source", facts.data)):
        paths[what] = given[what] or path or ""
        if not paths[what]:
            raise ArtifactError(f"'{file}' does not name its {what}: give --{what} package.module:name")
    foreign = [what for what, path in paths.items() if not given[what] and not path.startswith(OURS[what])]
    if foreign:
        named = " and ".join(f"the {what} '{paths[what]}'" for what in foreign)
        options = " ".join(f"--{what} {paths[what]}" for what in foreign)
        raise ArtifactError(
            f"'{file}' names {named}, and code that a file names is not run by itself: if you trust it, give {options}"
        )
    data = load_data(paths["source"], facts.data_settings, root, download=download)
    network = call_named(paths["model"], "model")
    load(file, network)
    return accuracy(network, data.test)
