"""The report of a run: one page that needs nothing beside itself."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from tighten.atomic import write_whole
from tighten.errors import RunError
from tighten.report import curves
from tighten.report.drawing import svg
from tighten.report.headline import cards, size_line, subtitle
from tighten.report.histograms import chosen, histogram
from tighten.report.layers import layers
from tighten.report.moments import Moment
from tighten.report.pareto import Point, draw
from tighten.report.provenance import commands, facts
from tighten.report.reading import Epoch, Latency, Run, Shrunk, Trained, Walked, last_run, read, summary
from tighten.report.supports import pictures

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NAME = "report.html"
_LONGEST_RECIPE = 20_000


def write_report(folder: Path) -> Path:
    """The report of a finished run, or of a way of steps as far as it went, made from what its folder holds.

    Args:
        folder: of `tighten run` or `tighten shrink`; gets `report.html`, which is returned.

    Raises:
        RunError: the folder is something else, a file in it is damaged, or it cannot be written to.
        ArtifactError: its `.tight` file is missing or damaged.
    """
    path = folder / NAME
    write_page(path, page(read(folder)))
    return path


def write_page(path: Path, text: str) -> None:
    """A page in a file, whole or not at all.

    Raises:
        RunError: the file cannot be written.
    """
    try:
        # Names may hold half of a sign, which no encoding has.
        write_whole(path, text.encode("utf-8", errors="replace"))
    except OSError as error:
        raise RunError(f"'{path}' cannot be written ({error.strerror or error}): choose another folder") from error


def render(template: str, values: dict[str, Any]) -> str:
    """A page from its template; whatever is not `Markup` is escaped."""
    folder = Path(__file__).with_name("templates")
    environment = Environment(
        loader=FileSystemLoader(folder),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(values)


def page(found: Run | Shrunk) -> str:
    """The text of the page."""
    last = last_run(found)
    runs: list[Trained] = [found] if isinstance(found, Run) else list(found.chain)
    dense_epochs, epochs, moments = _joined(runs)
    history = [*dense_epochs, *epochs]
    first = 0 if dense_epochs else 1
    legs = list(enumerate(curves.legs(history), first))
    dense = (
        found.way.dense if isinstance(found, Shrunk) else next((m.accuracy for m in moments if m.name == "dense"), None)
    )
    pulled = any(epoch.rho > 0 for epoch in epochs)
    title = last.result.recipe if last is not None else found.folder.name
    steps = found.way.steps if isinstance(found, Shrunk) else []
    return render(
        "report.html.jinja",
        {
            "title": title,
            "summary": summary(found.recipe),
            "subtitle": subtitle(last),
            "cards": cards(found, last),
            "path": _path(found, moments),
            "steps": [_step(found.way.entries, step, found.way.best) for step in steps]
            if isinstance(found, Shrunk)
            else [],
            "moments": _moments(found, moments, dict(legs)) if isinstance(found, Run) else [],
            "legs": legs,
            "training": curves.training(history, dense, first) if history else None,
            "residuals": curves.residuals(history, first) if pulled else None,
            "layers": layers(last.figures) if last is not None else [],
            "size_line": size_line(last.figures) if last is not None else "",
            "supports": pictures(last.artifact.codes) if last is not None else [],
            "histograms": _histograms(last, moments),
            "latency": _latency(last.latency) if last is not None else None,
            "facts": facts(found, last),
            "commands": commands(found, last),
            "recipe": found.recipe[:_LONGEST_RECIPE],
        },
    )


def _joined(runs: Sequence[Trained]) -> tuple[list[Epoch], list[Epoch], list[Moment]]:
    """The dense epochs, the others, and the moments of runs that go on from each other."""
    epochs = [epoch for run in runs for epoch in run.result.history]
    moments = [moment for i, run in enumerate(runs) for moment in run.moments[min(i, 1) :]]
    return (runs[0].result.dense_history if runs else []), epochs, moments


def _path(found: Run | Shrunk, moments: Sequence[Moment]) -> Markup | None:
    """Accuracy against bytes: of all steps, or of the stages of one run."""
    if isinstance(found, Shrunk):
        places = {step.name: i for i, step in enumerate(found.way.steps)}
        points = [
            # Names could be anything, and pictures hold only words of our own.
            Point(step.bytes, step.accuracy, str(i + 1), step.passed, places.get(step.origin))
            for i, step in enumerate(found.way.steps)
        ]
        gate: float | None = found.way.least
        dense: float | None = found.way.dense
    else:
        files = [(i, m) for i, m in enumerate(moments) if m.bytes is not None]
        points = [
            Point(m.bytes or 0, m.accuracy, str(i), True, place - 1 if place else None)
            for place, (i, m) in enumerate(files)
        ]
        end = (found.figures.sizes.total, found.result.validation_accuracy)
        points.append(Point(*end, "end", True, len(points) - 1 if points else None))
        gate, dense = None, moments[0].accuracy if moments and moments[0].name == "dense" else None
    return pareto_svg(points, gate, dense) if points else None


def pareto_svg(points: Sequence[Point], gate: float | None, dense: float | None) -> Markup:
    """The Pareto picture for a page."""

    def drawn(figure: Figure) -> None:
        draw(figure.add_subplot(), points, gate, dense)

    return svg("path", "accuracy on validation data against bytes on disk", 2.9, drawn)


def _moments(run: Run, moments: Sequence[Moment], legs: dict[int, curves.Leg]) -> list[dict[str, Any]]:
    """The rows of the table of stages, and one for the end."""
    rows: list[dict[str, Any]] = [
        {
            "number": i,
            "name": m.name,
            "epochs": legs[i].epochs if i in legs else "",
            "kept": m.kept,
            "rate": f"{m.weights / max(1, m.kept):.1f}x",
            "bytes": "-" if m.bytes is None else f"{m.bytes:,}",
            "accuracy": m.accuracy,
        }
        for i, m in enumerate(moments)
    ]
    if not rows:
        return []
    end = {"number": "end", "name": "the file", "epochs": "", "accuracy": run.result.validation_accuracy}
    size = {"kept": run.figures.kept, "rate": f"{run.figures.rate:.1f}x", "bytes": f"{run.figures.sizes.total:,}"}
    return [*rows, end | size]


def _step(entries: int, step: Walked, best: str) -> dict[str, Any]:
    verdict = ("best" if step.name == best else "passed") if step.passed else "failed, rolled back"
    shown = {"name": step.name.removeprefix("step-"), "origin": step.origin.removeprefix("step-"), "verdict": verdict}
    return {**step.model_dump(), **shown, "rate": f"{entries / max(1, step.kept):.1f}x"}


def _histograms(last: Run | None, moments: Sequence[Moment]) -> list[tuple[str, Markup]]:
    if last is None:
        return []
    codes = last.artifact.codes
    return [(site, histogram(site, moments, codes[site], f"h{i}")) for i, site in enumerate(chosen(codes))]


def _latency(latency: Latency | None) -> dict[str, Any] | None:
    if latency is None:
        return None
    longest = max((t.milliseconds for t in latency.timings), default=0.0) or 1.0
    bars = [
        {"what": t.what, "length": 100 * t.milliseconds / longest, "text": f"{t.milliseconds:.3g} ms"}
        for t in latency.timings
    ]
    return {"how": latency.how, "bars": bars}
