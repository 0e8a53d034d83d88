"""Bytes against accuracy, as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tighten.report.drawing import INK, MAIN, MUTED, WRONG, log_ticks

if TYPE_CHECKING:
    from matplotlib.axes import Axes

NEAR = 12
"""Pixels within which the labels of two points would cover each other."""


@dataclass(frozen=True)
class Point:
    """One network of a Pareto picture.

    Args:
        bytes: on disk.
        accuracy: in percent.
        label: written beside it.
        passed: whether it was kept.
        origin: place in the sequence of the network that it went on from; None for the dense one.
    """

    bytes: int
    accuracy: float
    label: str
    passed: bool
    origin: int | None = None


def pareto(points: Sequence[Point], gate: float, dense: float, path: Path, title: str) -> None:
    """A picture of all networks of a search, written as the suffix of `path` says (such as .png or .svg).

    Args:
        points: the networks.
        gate: the accuracy below which nothing is kept, in percent.
        dense: the accuracy of the dense network, in percent.
        path: the file to write.
        title: the heading.
    """
    # Takes a second to import, and only pictures need it.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.2, 4.4), layout="constrained")
    axes = figure.add_subplot()
    draw(axes, points, gate, dense)
    axes.set_title(title, loc="left", fontsize=10)
    axes.spines[["top", "right"]].set_visible(False)
    if points:
        figure.legend(frameon=False, fontsize=8, loc="outside upper right", ncols=2)
    figure.savefig(path, dpi=150)


def draw(axes: Axes, points: Sequence[Point], gate: float | None, dense: float | None) -> None:
    """The networks on given axes; the arguments are those of `pareto`, where the levels may be None."""
    for passed, colour, marker, name in ((True, MAIN, "o", "kept"), (False, WRONG, "x", "rolled back")):
        some = [p for p in points if p.passed is passed]
        if some:
            axes.scatter([p.bytes for p in some], [p.accuracy for p in some], c=colour, marker=marker, label=name)
    for p in points:
        if p.origin is not None:
            q = points[p.origin]
            way = ([q.bytes, p.bytes], [q.accuracy, p.accuracy])
            axes.plot(*way, color=MUTED, linewidth=0.7, linestyle="-" if p.passed else ":", zorder=0)
    front = _front([p for p in points if p.passed])
    axes.step([p.bytes for p in front], [p.accuracy for p in front], where="post", color=MAIN, linewidth=1)
    axes.margins(0.12, 0.15)
    if points:
        log_ticks(axes, "x")
    for p, below in zip(points, _crowd(axes, points), strict=True):
        # The end lies close to the stage before it: its name goes below.
        place = (4, -11 - 10 * below) if p.label == "end" else (4, 5 + 10 * below)
        axes.annotate(p.label, (p.bytes, p.accuracy), place, textcoords="offset points", fontsize=8, color=INK)
    # The gate is below the dense network, and often close to it.
    for level, name, above in ((dense, "dense", 3), (gate, "gate", -10)):
        if level is not None:
            axes.axhline(level, color=MUTED, linewidth=0.8, linestyle="--")
            axes.annotate(name, (1, level), (-3, above), xycoords=("axes fraction", "data"), textcoords="offset points",
                          fontsize=8, color=MUTED, ha="right")  # fmt: skip
    axes.set_xlabel("bytes on disk")
    axes.set_ylabel("validation accuracy, %")


def _crowd(axes: Axes, points: Sequence[Point]) -> list[int]:
    """By how many lines each label must move for those before it, where points lie almost on top of each other."""
    places = [axes.transData.transform((p.bytes, p.accuracy)) for p in points]
    near = [[abs(x - a) < NEAR and abs(y - b) < NEAR for a, b in places[:i]] for i, (x, y) in enumerate(places)]
    return [sum(row) for row in near]


def _front(points: Sequence[Point]) -> list[Point]:
    """The points that no other point beats in both, from small to large."""
    front: list[Point] = []
    for p in sorted(points, key=lambda p: (p.bytes, -p.accuracy)):
        if not front or p.accuracy > front[-1].accuracy:
            front.append(p)
    return front
