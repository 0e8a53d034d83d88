"""`tighten report`: the page of a run, drawn again, or several runs beside each other."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tighten.cli.options import console


def report(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Folders of runs or shrinks.")],
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FILE", help="Page to write; report.html in the run, or comparison.html here."),
    ] = None,
) -> None:
    """Draw the report of a run, or compare several on one page."""
    from tighten.report.comparison import compare
    from tighten.report.html import page, write_page, write_report
    from tighten.report.reading import read

    if len(runs) > 1:
        path = compare(runs, out or Path("comparison.html"))
    elif out is not None:
        write_page(out, page(read(runs[0])))
        path = out
    else:
        path = write_report(runs[0])
    console.print(f"written: {path}", highlight=False, markup=False, soft_wrap=True)
