"""`tighten cite`: whom to name for what a run used."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from tighten.cli.options import JsonOption, console


def cite(
    what: Annotated[
        str, typer.Argument(metavar="RUN|FILE|RECIPE", help="A run folder, a .tight file, or a recipe by name or path.")
    ],
    bibtex: Annotated[bool, typer.Option("--bibtex", help="Only the entries for a bibliography.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Print the references for exactly what a run, a file or a recipe used, to read and as BibTeX."""
    from tighten.citing import cite as references

    found = references(what)
    if as_json:
        shown = [{"key": r.key, "text": r.plain(), "for": names} for r, names in found.references]
        typer.echo(json.dumps(shown, indent=2, ensure_ascii=False))
        return
    text = found.bibtex() if bibtex else f"{found.plain()}\n\n{found.bibtex()}"
    console.print(text, highlight=False, markup=False, soft_wrap=True)
