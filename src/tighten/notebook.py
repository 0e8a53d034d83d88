"""What objects show of themselves in a notebook: plain HTML in the notebook's own style."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape


def table(header: Sequence[str], rows: Sequence[Sequence[str]], below: str = "") -> str:
    """A table whose first column is words and whose other columns are numbers.

    Args:
        header: of the columns.
        rows: cells as text; they are escaped.
        below: a line under the table.
    """
    head = "".join(f'<th style="text-align: {_side(i)}">{escape(cell)}</th>' for i, cell in enumerate(header))
    body = "".join(
        "<tr>" + "".join(f'<td style="text-align: {_side(i)}">{escape(c)}</td>' for i, c in enumerate(row)) + "</tr>"
        for row in rows
    )
    line = f"<p>{escape(below)}</p>" if below else ""
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{line}"


def columns(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """The same for a terminal: columns as wide as they must be, words left and numbers right."""
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    lines = [
        "  ".join(c.rjust(w) if i else c.ljust(w) for i, (c, w) in enumerate(zip(row, widths, strict=True))).rstrip()
        for row in [header, *rows]
    ]
    return "\n".join(lines)


def _side(column: int) -> str:
    return "right" if column else "left"
