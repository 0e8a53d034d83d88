"""The few figures that a report begins with."""

from __future__ import annotations

from dataclasses import dataclass

from tighten.artifact import Artifact
from tighten.errors import TightenError
from tighten.report.reading import Run, Shrunk
from tighten.report.report import Report
from tighten.sets import from_data


@dataclass(frozen=True)
class Card:
    """One figure.

    Args:
        what: above it.
        value: the figure.
        more: below it.
        tone: "good", "wrong" or nothing.
    """

    what: str
    value: str
    more: str
    tone: str = ""


def cards(found: Run | Shrunk, last: Run | None) -> list[Card]:
    """Rate, bytes, accuracy and what was to be held.

    Args:
        found: what the report is of.
        last: the run itself, or that of the best step.
    """
    shown = []
    if last is not None:
        r, end = last.figures, last.result
        kept = f"{r.kept:,} of {r.weights:,} weights kept"
        shown += [
            Card("rate", f"{r.rate:.1f}x", f"{kept}; {r.rate_with_biases:.1f}x with biases and the like"),
            Card("file", f"{r.sizes.total:,} bytes", f"{r.bytes_rate:.1f}x smaller than {r.dense_bytes:,}"),
            Card(
                "test accuracy",
                f"{end.accuracy:.2f} %",
                f"dense {end.dense_accuracy:.2f} %, {end.accuracy - end.dense_accuracy:+.2f} points; last epoch",
            ),
        ]
    if isinstance(found, Shrunk):
        return [*shown, _gate(found, last)]
    return [*shown, _promises(found.artifact)]


def subtitle(last: Run | None) -> str:
    """What was compressed, and when."""
    if last is None:
        return ""
    meta, result = last.artifact.meta, last.result
    words = [f"{meta[key]}" for key in ("model", "data") if key in meta]
    if result.effort < 1:
        words.insert(0, f"PARTIAL RESULT: {result.effort:g} of the recipe's epochs")
    words += [f"seed {result.seed}", result.finished.replace("T", " ").removesuffix("Z")]
    return " · ".join(word for word in words if word)


def size_line(report: Report) -> str:
    """The bytes on disk, in words."""
    z = report.sizes
    return (
        f"{z.total:,} bytes on disk: positions {z.positions:,}, values {z.values:,}, tables {z.tables:,}, "
        f"the {report.biases:,} biases and other numbers and what no set constrains {z.rest:,}, header {z.header:,}."
    )


def _gate(found: Shrunk, last: Run | None) -> Card:
    way = found.way
    back = sum(not step.passed for step in way.steps)
    steps = f"{len(way.steps)} step" + "s" * (len(way.steps) != 1) + f", {back} rolled back"
    asked = f"at least {way.least:.2f} % on validation data (dense {way.dense:.2f} %)"
    if not any(step.passed for step in way.steps):
        return Card("gate", "not passed", f"{asked}; {steps}", "wrong")
    if last is None:
        return Card("gate", "passed", f"{asked}; {steps}; the folder of the best step is not there")
    return Card("gate", f"{last.result.validation_accuracy:.2f} %", f"passed: {asked}; {steps}", "good")


def _promises(artifact: Artifact) -> Card:
    """The sets that the file names, held against its codes."""
    sets = artifact.meta.get("sets")
    if not isinstance(sets, dict) or not sets:
        return Card("promises", "none", "the file was written without sets")
    held = sum(_holds(artifact, name, data) for name, data in sets.items())
    tone = "good" if held == len(sets) else "wrong"
    return Card("promises", f"{held} of {len(sets)}", "sets hold in the file, entry by entry", tone)


def _holds(artifact: Artifact, name: str, data: object) -> bool:
    try:
        return name in artifact.codes and not from_data(data).violations(artifact.codes[name])
    except TightenError:
        return False
