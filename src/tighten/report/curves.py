"""Loss, accuracy, residuals and rho, epoch by epoch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from markupsafe import Markup

from tighten.report.drawing import DASHES, LINE, MAIN, MUTED, SECOND, SERIES, log_ticks, svg
from tighten.report.reading import Epoch

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_POINTS = 500
MOST_LINES = 12


@dataclass(frozen=True)
class Leg:
    """Consecutive epochs of one stage.

    Args:
        name: of the stage.
        first: place of the first epoch, from zero.
        epochs: how many.
    """

    name: str
    first: int
    epochs: int


def legs(epochs: Sequence[Epoch]) -> list[Leg]:
    """The stages of a history, in order; an epoch number that does not rise begins a new one."""
    starts = [
        i
        for i, epoch in enumerate(epochs)
        if i == 0 or epoch.stage != epochs[i - 1].stage or epoch.epoch <= epochs[i - 1].epoch
    ]
    return [
        Leg(epochs[first].stage, first, end - first)
        for first, end in zip(starts, [*starts[1:], len(epochs)], strict=False)
    ]


def training(epochs: Sequence[Epoch], dense: float | None, first: int) -> Markup:
    """Validation accuracy above, training loss below.

    Args:
        epochs: to draw.
        dense: accuracy of the dense network, a line.
        first: number of the first stage; numbers stand along the top.
    """

    def draw(figure: Figure) -> None:
        above, below = figure.subplots(2, sharex=True, height_ratios=(3, 2))
        _plot(above, [epoch.accuracy for epoch in epochs], color=MAIN)
        if dense is not None:
            above.axhline(dense, color=MUTED, linewidth=0.8, linestyle="--")
        above.set_ylabel("accuracy, %")
        _plot(below, [epoch.loss for epoch in epochs], color=SECOND)
        if all(epoch.loss > 0 for epoch in epochs):
            log_ticks(below, "y")
        below.set_ylabel("loss")
        _stages(above, below, epochs, first)

    return svg("training", "validation accuracy and training loss of each epoch", 3.3, draw)


def residuals(epochs: Sequence[Epoch], first: int) -> Markup:
    """Primal and dual residuals above (the largest of all sites bold, each site thin), rho below.

    Args:
        epochs: to draw; what is no ADMM leaves a gap.
        first: number of the first stage; numbers stand along the top.
    """
    at_work = [epoch if epoch.rho > 0 else None for epoch in epochs]
    last = next((epoch for epoch in reversed(epochs) if epoch.residuals), None)
    ranked = sorted(last.residuals, key=lambda s: -last.residuals[s][0]) if last else []

    def draw(figure: Figure) -> None:
        above, below = figure.subplots(2, sharex=True, height_ratios=(3, 2))
        for site in ranked[:MOST_LINES]:
            _plot(above, [e.residuals[site][0] if e and site in e.residuals else math.nan for e in at_work],
                  color=MAIN, linewidth=0.6, alpha=0.5)  # fmt: skip
        _plot(above, [e.primal if e else math.nan for e in at_work], color=MAIN, label="primal")
        _plot(above, [e.dual if e else math.nan for e in at_work], color=SECOND, linestyle="--", label="dual")
        log_ticks(above, "y")
        above.set_ylabel("residual")
        above.legend(loc="lower left", ncols=2)
        _plot(below, [e.rho if e else math.nan for e in at_work], color=MUTED)
        log_ticks(below, "y")
        below.set_ylabel("rho")
        _stages(above, below, epochs, first)

    return svg("residuals", "primal and dual residuals, and rho, of each epoch", 3.3, draw)


def over_each_other(histories: Sequence[Sequence[Epoch]]) -> Markup:
    """Validation accuracy of several runs, from the first epoch after their dense networks."""

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot()
        for i, epochs in enumerate(histories):
            colour, dash = SERIES[i % len(SERIES)], DASHES[i // len(SERIES) % len(DASHES)]
            _plot(axes, [epoch.accuracy for epoch in epochs], color=colour, linestyle=dash, linewidth=1.2)
        axes.set_ylabel("validation accuracy, %")
        axes.set_xlabel("epoch after the dense network")

    return svg("together", "validation accuracy of each run", 2.8, draw)


def _plot(axes: Axes, values: Sequence[float], **style: object) -> None:
    every = max(1, math.ceil(len(values) / MOST_POINTS))
    places = list(range(0, len(values), every))
    points = [(i + 1, values[i]) for i in places]
    # A line of one point is not seen.
    marker = "o" if sum(math.isfinite(value) for _, value in points) == 1 else ""
    axes.plot([x for x, _ in points], [y for _, y in points], marker=marker, markersize=4, **style)  # type: ignore[arg-type]


def _stages(above: Axes, below: Axes, epochs: Sequence[Epoch], first: int) -> None:
    """Lines between the stages and their numbers, as far as there is room for them."""
    from matplotlib.ticker import MaxNLocator

    for number, leg in enumerate(legs(epochs), first):
        if leg.first:
            for axes in (above, below):
                axes.axvline(leg.first + 0.5, color=LINE, linewidth=0.8, zorder=0)
        if leg.epochs >= len(epochs) / 40:
            middle = leg.first + (leg.epochs + 1) / 2
            above.annotate(str(number), (middle, 1), (0, 2), xycoords=("data", "axes fraction"),
                           textcoords="offset points", ha="center", fontsize=7.5, color=MUTED)  # fmt: skip
    below.set_xlabel("epoch")
    below.set_xlim(0.5, len(epochs) + 0.5)
    below.xaxis.set_major_locator(MaxNLocator(integer=True))
