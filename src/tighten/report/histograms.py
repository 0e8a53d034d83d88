"""How the weights of a layer were spread before, during and after, with the levels marked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from markupsafe import Markup

from tighten.codes import Code, Indexed, Sparse
from tighten.report.drawing import INK, LINE, MAIN, MUTED, SECOND, svg
from tighten.report.moments import Moment, Spread, thinned

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_SITES = 12
MOST_ROWS = 7
MOST_LEVELS = 64
HIGH = 0.85
"""Of a row whose floor is one above that of the next: the fullest bin."""


@dataclass(frozen=True)
class Levels:
    """The levels of a tensor that has few of them.

    Args:
        values: rising.
        counts: entries on each.
    """

    values: tuple[float, ...]
    counts: tuple[int, ...]


def levels(code: Code) -> Levels | None:
    """The levels in use; None where the values are free, or too many to be told apart in a picture."""
    inner = code.inner if isinstance(code, Sparse) else code
    if not isinstance(inner, Indexed):
        return None
    values, counts = torch.unique(inner.dense().double(), return_counts=True)
    if not 0 < len(values) <= MOST_LEVELS:
        return None
    return Levels(tuple(values.tolist()), tuple(counts.tolist()))


def histogram(site: str, moments: Sequence[Moment], code: Code, name: str) -> Markup:
    """A row for each moment, numbered from zero, and one for the end; entries that are zero are not drawn.

    Each row is as high as its own fullest bin.
    """
    rows = [(i, moments[i].spreads[site]) for i in thinned(moments, MOST_ROWS) if site in moments[i].spreads]
    ends, spread = levels(code), Spread.of(code.dense())
    reach = max([s.reach for _, s in rows] + [spread.reach]) or 1.0

    def draw(figure: Figure) -> None:
        # Axes of its own for each row would take most of the time of a page.
        axes = figure.add_subplot()
        for place, (i, row) in enumerate(rows):
            _row(axes, str(i), reach, len(rows) - place)
            _bins(axes, row, MUTED if i == 0 else SECOND, len(rows) - place)
        _row(axes, "end", reach, 0)
        if ends is None:
            _bins(axes, spread, MAIN, 0)
        else:
            axes.vlines(ends.values, 1, len(rows) + 1, color=LINE, linewidth=0.6, zorder=0)
            heights = [HIGH * count / max(ends.counts) for count in ends.counts]
            axes.vlines(ends.values, 0, heights, color=MAIN, linewidth=2)
        axes.set_xlim(-1.05 * reach, 1.05 * reach)
        axes.set_ylim(0, len(rows) + 1)
        axes.set_yticks([])
        axes.spines["left"].set_visible(False)

    return svg(name, "weights before, during and after, one row a moment", 0.55 + 0.3 * (len(rows) + 1), draw, 0.4)


def chosen(codes: dict[str, Code]) -> list[str]:
    """The weights that are drawn: all, or those with the most entries where they are too many."""
    weights = {name: code.dense().numel() for name, code in codes.items() if len(code.shape) >= 2}
    largest = set(sorted(weights, key=lambda name: -weights[name])[:MOST_SITES])
    return [name for name in weights if name in largest]


def _bins(axes: Axes, spread: Spread, colour: str, floor: float) -> None:
    if not spread.reach:
        return
    edges = np.linspace(-spread.reach, spread.reach, len(spread.counts) + 1)
    heights = floor + HIGH * np.array(spread.counts, float) / max(1, *spread.counts)
    axes.stairs(heights, edges, baseline=floor, fill=True, color=colour, alpha=0.35, linewidth=0)
    axes.stairs(heights, edges, baseline=floor, color=colour, linewidth=0.8)


def _row(axes: Axes, name: str, reach: float, floor: int) -> None:
    """The floor of a row, and its name beside it."""
    if floor:
        axes.plot([-1.05 * reach, 1.05 * reach], [floor, floor], color=LINE, linewidth=0.8)
    axes.annotate(name, (0, floor), (-4, 2), xycoords=("axes fraction", "data"), textcoords="offset points",
                  ha="right", fontsize=7.5, color=INK)  # fmt: skip
