"""Pictures inside a page: SVG without a file, in the page's own colours and letters."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, MUTED, LINE = "#1f2430", "#6a7280", "#d9dde3"
MAIN, SECOND, THIRD, WRONG = "#0b7285", "#d9480f", "#6741d9", "#c92a2a"
SERIES = (MAIN, SECOND, THIRD, "#2b8a3e", "#a61e4d", "#5c4813")
"""Of networks that are compared; told apart by dashes and letters, too."""
DASHES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 1)))

_VARIABLES = {
    INK: "ink",
    MUTED: "muted",
    LINE: "line",
    MAIN: "main",
    SECOND: "second",
    THIRD: "third",
    WRONG: "wrong",
    SERIES[3]: "fourth",
    SERIES[4]: "fifth",
    SERIES[5]: "sixth",
}
WIDTH = 4.6
"""Inches of every picture: letters are of one size on the page, and can be read on a phone."""

BOTTOM, RIGHT, TOP = 0.44, 0.08, 0.2
"""Inches around what is drawn."""

_STYLE: dict[str, Any] = {
    "svg.fonttype": "none",
    "text.parse_math": False,
    "axes.unicode_minus": True,
    "font.size": 8.5,
    "text.color": INK,
    "axes.labelcolor": MUTED,
    "axes.edgecolor": LINE,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.facecolor": "none",
    "axes.prop_cycle": "cycler('color', ['#0b7285'])",
    "figure.facecolor": "none",
    "savefig.facecolor": "none",
    "xtick.color": LINE,
    "ytick.color": LINE,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "lines.linewidth": 1.5,
    "lines.solid_capstyle": "round",
    "legend.frameon": False,
    "legend.fontsize": 8,
    "path.simplify_threshold": 0.5,
}


def svg(name: str, says: str, height: float, draw: Callable[[Figure], None], left: float = 0.66) -> Markup:
    """A picture as an SVG element that takes its colours from the page.

    The same figure gives the same text. Only words of this program may be drawn: those of others may hold signs that
    no font has, and belong into the page around the picture.

    Args:
        name: unique within the page, of letters and digits.
        says: what the picture shows, for who cannot see it.
        height: in inches, beside a width of `WIDTH`.
        draw: draws on a figure.
        left: inches kept for the labels of the vertical axis.
    """
    # Takes a second to import, and only pictures need it.
    import matplotlib
    from matplotlib.figure import Figure

    # Its stubs list every key by name.
    style: Any = {**_STYLE, "svg.hashsalt": name}
    with matplotlib.rc_context(style), warnings.catch_warnings():
        # What does not fit is drawn all the same.
        warnings.simplefilter("ignore", UserWarning)
        # Found margins would be nicer by a hair and take as long as everything else.
        figure = Figure(figsize=(WIDTH, height))
        figure.subplots_adjust(left / WIDTH, BOTTOM / height, 1 - RIGHT / WIDTH, 1 - TOP / height, hspace=0.12)
        draw(figure)
        figure.align_ylabels()
        drawn = io.StringIO()
        figure.savefig(drawn, format="svg", metadata={"Date": None, "Creator": None})
    return Markup('<svg role="img" aria-label="{}" viewBox="0 0 {} {}">').format(
        says, f"{WIDTH * 72:g}", f"{height * 72:g}"
    ) + Markup(_inner(drawn.getvalue(), name))


def log_ticks(axes: Axes, which: str) -> None:
    """A logarithmic axis with plain numbers on it, "x" or "y"."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    axis = axes.xaxis if which == "x" else axes.yaxis
    axes.set_xscale("log") if which == "x" else axes.set_yscale("log")
    low, high = sorted(axis.get_view_interval())
    decades = high / low if low > 0 else 10.0
    subs = (1.0, 2.0, 5.0) if decades < 100 else (1.0,)
    axis.set_major_locator(LogLocator(subs=subs, numticks=6))
    axis.set_major_formatter(FuncFormatter(lambda value, _: plain(value)))
    axis.set_minor_locator(NullLocator())


def plain(value: float) -> str:
    """A number as short as it can be said: 1200 as "1.2k", 0.0001 as "1e-4"."""
    if value == 0:
        return "0"
    if abs(value) >= 1000:
        size, letter = (1e9, "G") if abs(value) >= 1e9 else (1e6, "M") if abs(value) >= 1e6 else (1e3, "k")
        return f"{value / size:.3g}{letter}"
    text = f"{value:.3g}"
    return re.sub(r"e([-+])0*(\d+)", r"e\1\2", text.replace("e+", "e"))


def _inner(drawn: str, name: str) -> str:
    """The content of an SVG file, for a page that holds others."""
    inner = drawn[drawn.index("<svg") :]
    inner = inner[inner.index(">") + 1 :]
    inner = re.sub(r"<metadata>.*?</metadata>", "", inner, flags=re.DOTALL).replace("xlink:href", "href")
    used = set(re.findall(r'(?:href="|url\()#([^")]+)', inner))
    inner = re.sub(r' id="([^"]*)"', lambda m: f' id="{name}-{m[1]}"' if m[1] in used else "", inner)
    inner = re.sub(r'(href="|url\()#', rf"\g<1>#{name}-", inner)
    # Only within tags: between them stand words and numbers to be read.
    inner = re.sub(r"<[^>]*>", lambda tag: re.sub(r"\d+\.\d{3,}", _rounded, tag[0]), inner)
    for colour, variable in _VARIABLES.items():
        inner = inner.replace(colour, f"var(--{variable})")
    return re.sub(r"\n\s*", "\n", inner)


def _rounded(number: re.Match[str]) -> str:
    return f"{float(number[0]):.2f}".rstrip("0").rstrip(".")
