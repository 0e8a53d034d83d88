"""The commands; each is a thin layer over a function that Python users call too."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from tighten import recipes as recipe_book
from tighten.cli.allocate import allocate
from tighten.cli.cite import cite
from tighten.cli.export import export
from tighten.cli.follow import watch
from tighten.cli.init import init
from tighten.cli.options import (
    DataOption,
    DownloadOption,
    FileArgument,
    JsonOption,
    ModelOption,
    RecipeArgument,
    ResumeOption,
    SeedOption,
    ThreadsOption,
    WeightsOption,
    console,
)
from tighten.cli.reading import reading
from tighten.cli.report import report
from tighten.cli.shrink import shrink
from tighten.cli.tables import layer_bars, report_table, result_table, size_line
from tighten.cli.watch import watched
from tighten.errors import TightenError

app = typer.Typer(
    help="Make trained PyTorch networks very small, with a guarantee.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)


@app.command()
def run(
    recipe: RecipeArgument,
    data: DataOption = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Run folder; runs/RECIPE where not given.")
    ] = None,
    weights: WeightsOption = None,
    seed: SeedOption = None,
    effort: Annotated[
        float, typer.Option(metavar="FACTOR", help="Factor on all epochs; 0.1 tries a recipe out, partial result.")
    ] = 1.0,
    resume: ResumeOption = False,
    download: DownloadOption = False,
    threads: ThreadsOption = None,
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Write scalars for TensorBoard into the run folder, too.")
    ] = False,
) -> None:
    """Carry out a recipe: train, compress, and write a .tight file.

    Under `torchrun -m tighten run ...` or `accelerate launch -m tighten run ...` several processes share each batch.
    """
    from tighten import engine

    loaded, text = recipe_book.load(recipe)
    folder = out or Path("runs") / loaded.name
    with watched(threads) as progress:
        listener = engine.Listeners(progress, engine.TensorBoard(folder)) if tensorboard else progress
        result = engine.run(
            loaded,
            text,
            folder,
            root=data,
            download=download,
            seed=seed,
            resume=resume,
            weights=weights,
            effort=effort,
            listener=listener,
        )
    console.print(result_table(result))
    console.print(size_line(result.report))
    console.print(f"written: {result.file}", highlight=False)


app.command()(init)
app.command()(shrink)
app.command()(allocate)


@app.command()
def recipes(as_json: JsonOption = False) -> None:
    """List the recipes that come with tighten."""
    loaded = [recipe_book.load(name)[0] for name in recipe_book.shipped()]
    if as_json:
        typer.echo(json.dumps([r.model_dump() for r in loaded], indent=2))
        return
    table = Table("recipe", "epochs", "what it does")
    for r in loaded:
        table.add_row(r.name, f"{r.dense.epochs} + {r.plan().epochs}", r.summary)
    console.print(table)


@app.command()
def inspect(file: FileArgument, as_json: JsonOption = False) -> None:
    """Show what a .tight file holds and what its bytes are spent on."""
    from tighten.artifact import Artifact
    from tighten.report import report

    with reading() as seen:
        artifact = Artifact.open(file, seen)
    figures = report(artifact)
    size = file.stat().st_size
    if as_json:
        typer.echo(json.dumps({"meta": artifact.meta, "file_bytes": size, **figures.to_data()}, indent=2))
        return
    console.print(report_table(figures))
    console.print(layer_bars(figures))
    console.print(size_line(figures))
    if size != figures.sizes.total:
        console.print(
            f"This file itself has {size:,} bytes, in an older format: the figures are those of the same network "
            f"written anew, as `tighten.artifact.Artifact.open(file).save(file)` does."
        )
    for key in ("model", "data"):
        if key in artifact.meta:
            console.print(f"{key}: {artifact.meta[key]}", highlight=False, markup=False)
    claims = artifact.meta.get("claims")
    for key, value in claims.items() if isinstance(claims, dict) else ():
        shown = f"{value:.2f} %" if isinstance(value, float) else value
        console.print(f"claimed {key}: {shown}", highlight=False, markup=False)


@app.command()
def verify(
    file: FileArgument,
    data: DataOption = None,
    model: ModelOption = None,
    source: Annotated[
        str | None, typer.Option("--source", metavar="PKG.MOD:DATA", help="The data, where it is not of tighten.data.")
    ] = None,
    download: DownloadOption = False,
    as_json: JsonOption = False,
) -> None:
    """Recompute counts, alphabets and accuracy from the file alone, and hold them to its promises."""
    from tighten.verify import verify as check

    found = check(file, root=data, model=model, source=source, download=download)
    if as_json:
        typer.echo(json.dumps(found.to_data(), indent=2))
    else:
        console.print(found.table())
    if not found.holds:
        raise typer.Exit(1)


app.command()(report)
app.command()(export)
app.command()(cite)
app.command()(watch)


def main() -> None:
    """The program: errors made on purpose become one line and exit code 2.

    Of the processes that a launcher started, the first one speaks, and of an error the first one of each machine.
    """
    # As `python -m` does: a recipe may name a model or data in the working folder.
    if not sys.flags.safe_path and "" not in sys.path:
        sys.path.insert(0, "")
    try:
        with _spoken_by_one():
            app()
    except TightenError as error:
        if os.environ.get("LOCAL_RANK", "0") == "0":
            Console(stderr=True).print(f"[bold red]error:[/] {escape(str(error))}", highlight=False, soft_wrap=True)
        raise SystemExit(2) from None


@contextlib.contextmanager
def _spoken_by_one() -> Iterator[None]:
    if os.environ.get("RANK", "0") == "0":
        yield
        return
    with open(os.devnull, "w", encoding="utf-8") as nowhere, contextlib.redirect_stdout(nowhere):
        yield
