"""`tighten shrink`: smaller and smaller, as far as a gate allows."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from tighten import recipes
from tighten.cli.options import (
    DataOption,
    DownloadOption,
    JsonOption,
    RecipeArgument,
    ResumeOption,
    SeedOption,
    ThreadsOption,
    WeightsOption,
    console,
)
from tighten.cli.tables import way_table
from tighten.cli.watch import watched
from tighten.errors import PlanError


def shrink(
    recipe: RecipeArgument,
    drop: Annotated[
        float | None, typer.Option(metavar="POINTS", help="Gate: validation points that may be lost to the dense net.")
    ] = None,
    accuracy: Annotated[
        float | None, typer.Option(metavar="PERCENT", help="Gate: the least validation accuracy.")
    ] = None,
    rate: Annotated[float | None, typer.Option(help="Stop at this pruning rate.")] = None,
    kept: Annotated[int | None, typer.Option(metavar="N", help="Stop at this many kept weights.")] = None,
    file_bytes: Annotated[int | None, typer.Option("--bytes", metavar="N", help="Stop at a file of this size.")] = None,
    value_bits: Annotated[int | None, typer.Option(min=1, max=8, help="Quantize what is kept to so many bits.")] = None,
    data: DataOption = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Folder; runs/shrink-RECIPE where not given.")
    ] = None,
    weights: WeightsOption = None,
    seed: SeedOption = None,
    resume: ResumeOption = False,
    download: DownloadOption = False,
    threads: ThreadsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a recipe's network as small as a gate on validation accuracy allows, or down to a size.

    Without --rate, --kept or --bytes it goes on as long as steps pay. Each step that passes leaves its own file.
    """
    from tighten import engine
    from tighten.allocation import Budget
    from tighten.search import Gate

    given = [size for size in (rate, kept, file_bytes) if size is not None]
    if len(given) > 1:
        raise PlanError("shrink was given more than one of --rate, --kept and --bytes: give one of them")
    gate = Gate(drop=drop, accuracy=accuracy)
    goal = Budget(rate=rate, weights=kept, bytes=file_bytes) if given else None
    loaded, text = recipes.load(recipe)
    folder = out or Path("runs") / f"shrink-{loaded.name}"
    with watched(threads, as_json) as progress:
        way = engine.shrink(
            loaded,
            text,
            folder,
            gate,
            goal=goal,
            bits=value_bits,
            root=data,
            download=download,
            seed=seed,
            resume=resume,
            weights=weights,
            listener=progress,
        )
    if as_json:
        typer.echo(json.dumps(asdict(way), indent=2))
        return
    console.print(way_table(way))
    console.print(f"drawn: {folder / 'way.png'}", highlight=False, markup=False)
    if way.best:
        console.print(f"written: {folder / 'net.tight'} (from {way.best})", highlight=False, markup=False)
    else:
        console.print("no step passed the gate: give a wider gate, or more epochs in the recipe's [shrink] table")
