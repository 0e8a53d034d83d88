"""Several runs beside each other, as one page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from markupsafe import Markup

from tighten.report.curves import over_each_other
from tighten.report.drawing import DASHES, INK, SERIES, WRONG, log_ticks, svg
from tighten.report.html import render, write_page
from tighten.report.reading import Epoch, Run, Shrunk, Trained, last_run, read

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


@dataclass(frozen=True)
class Row:
    """One run, in words; a dash where something is not there."""

    letter: str
    colour: int
    name: str
    recipe: str
    seed: str = "-"
    kept: str = "-"
    rate: str = "-"
    bytes: str = "-"
    smaller: str = "-"
    validation: str = "-"
    test: str = "-"
    dense: str = "-"
    lost: str = "-"
    epochs: str = "-"
    seconds: str = "-"


def compare(folders: Sequence[Path], path: Path) -> Path:
    """A page on which runs can be compared: a table, and curves over each other.

    Args:
        folders: of finished runs or ways of steps; they need not have anything in common.
        path: the page to write, which is returned.

    Raises:
        RunError: a folder is no run folder, or the page cannot be written.
        ArtifactError: a `.tight` file is missing or damaged.
    """
    found = [read(folder) for folder in folders]
    last = [last_run(one) for one in found]
    histories = [_history(one) for one in found]
    names = list(dict.fromkeys(site.name for run in last if run for site in run.figures.sites))
    text = render(
        "comparison.html.jinja",
        {
            "title": f"{len(found)} runs compared",
            "rows": [_row(i, one) for i, one in enumerate(found)],
            "path": _path(found),
            "curves": over_each_other(histories) if any(histories) else None,
            "layers": [(name, [_cell(run, name) for run in last]) for name in names],
        },
    )
    write_page(path, text)
    return path


def _history(found: Run | Shrunk) -> list[Epoch]:
    runs: list[Trained] = [found] if isinstance(found, Run) else list(found.chain)
    return [epoch for run in runs for epoch in run.result.history]


def _row(place: int, found: Run | Shrunk) -> Row:
    letter, colour = LETTERS[place % len(LETTERS)], place % len(SERIES) + 1
    run = last_run(found)
    if run is None:
        return Row(letter, colour, found.folder.name, "-")
    r, end = run.figures, run.result
    steps = found.way.steps if isinstance(found, Shrunk) else None
    return Row(
        letter,
        colour,
        found.folder.name,
        end.recipe,
        seed=str(end.seed),
        kept=f"{r.kept:,}",
        rate=f"{r.rate:.1f}x",
        bytes=f"{r.sizes.total:,}",
        smaller=f"{r.bytes_rate:.1f}x",
        validation=f"{end.validation_accuracy:.2f}",
        test=f"{end.accuracy:.2f}",
        dense=f"{end.dense_accuracy:.2f}",
        lost=f"{end.dense_accuracy - end.accuracy:+.2f}",
        epochs=str(end.epochs if steps is None else sum(s.epochs for s in steps)),
        seconds=f"{end.seconds if steps is None else sum(s.seconds for s in steps):.0f}",
    )


def _cell(run: Run | None, name: str) -> str:
    site = next((s for s in run.figures.sites if s.name == name), None) if run else None
    return "-" if site is None else f"{site.kept:,} ({site.rate:.1f}x)"


def _path(found: Sequence[Run | Shrunk]) -> Markup:
    def draw(figure: Figure) -> None:
        axes = figure.add_subplot()
        drawn = False
        for i, one in enumerate(found):
            colour, dash = SERIES[i % len(SERIES)], DASHES[i // len(SERIES) % len(DASHES)]
            if isinstance(one, Shrunk):
                steps = sorted(one.way.steps, key=lambda s: s.bytes)
                passed, failed = [s for s in steps if s.passed], [s for s in steps if not s.passed]
                axes.plot([s.bytes for s in passed], [s.accuracy for s in passed], color=colour, linestyle=dash,
                          marker="o", markersize=4, linewidth=1)  # fmt: skip
                axes.scatter([s.bytes for s in failed], [s.accuracy for s in failed], c=WRONG, marker="x", s=20)
                ends = [(s.bytes, s.accuracy) for s in passed[:1]]
            else:
                ends = [(one.figures.sizes.total, one.result.validation_accuracy)]
                axes.scatter([ends[0][0]], [ends[0][1]], c=colour, marker="o")
            for end in ends:
                drawn = True
                axes.annotate(LETTERS[i % len(LETTERS)], end, (4, 5), textcoords="offset points", color=INK)
        axes.set_xlabel("bytes on disk")
        axes.set_ylabel("validation accuracy, %")
        axes.margins(0.12, 0.15)
        if drawn:
            log_ticks(axes, "x")

    return svg("path", "validation accuracy against bytes on disk", 2.9, draw)
