"""`tighten allocate`: what each layer may keep, as a table and a file."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from tighten import recipes
from tighten.cli.options import (
    DataOption,
    DownloadOption,
    JsonOption,
    RecipeArgument,
    SeedOption,
    ThreadsOption,
    WeightsOption,
    console,
)
from tighten.cli.watch import watched


class Rule(StrEnum):
    """The rules by the names that the command line gives them."""

    fisher = "fisher"
    lamp = "lamp"
    magnitude = "magnitude"
    uniform = "uniform"
    erk = "erk"
    rate_distortion = "rate-distortion"


def allocate(
    recipe: RecipeArgument,
    rate: Annotated[float | None, typer.Option(help="Budget: all weights divided by the kept ones.")] = None,
    kept: Annotated[int | None, typer.Option("--kept", metavar="N", help="Budget: kept weights.")] = None,
    bits: Annotated[float | None, typer.Option(help="Budget: bits of positions and values.")] = None,
    size: Annotated[int | None, typer.Option("--bytes", metavar="N", help="Budget: bytes of the whole file.")] = None,
    value_bits: Annotated[
        int | None,
        typer.Option(
            min=1, max=8, help="Bits of a kept value, for --bits and --bytes; rate-distortion chooses them itself."
        ),
    ] = None,
    rule: Annotated[Rule, typer.Option(help="How the budget is shared.")] = Rule.fisher,
    steps: Annotated[int | None, typer.Option(min=2, help="Training batches in each round.")] = None,
    out: Annotated[Path | None, typer.Option("--out", metavar="FILE", help="TOML file to write and edit.")] = None,
    data: DataOption = None,
    weights: WeightsOption = None,
    seed: SeedOption = None,
    download: DownloadOption = False,
    threads: ThreadsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Share a budget among the layers of a recipe's dense network, for you to see, edit and give back."""
    from tighten import allocation, engine
    from tighten.allocation import Budget
    from tighten.engine.allocate import STEPS
    from tighten.errors import PlanError

    if rule is Rule.rate_distortion and value_bits is not None:
        raise PlanError("rate-distortion chooses the bits per value itself: leave --value-bits out")
    loaded, _ = recipes.load(recipe)
    budget = Budget(rate=rate, weights=kept, bits=bits, bytes=size, value_bits=value_bits or 32)
    with watched(threads, as_json, again="start it again") as progress:
        shares = engine.allocate(
            loaded,
            budget,
            None if rule is Rule.rate_distortion else getattr(allocation, rule),
            folder=Path("runs") / ".dense",
            root=data,
            download=download,
            seed=seed,
            weights=weights,
            steps=steps or STEPS,
            listener=progress,
        )
    if as_json:
        plain = {n: {"count": s.count, "of": s.of, "bits": s.bits, "density": s.density} for n, s in shares.items()}
        typer.echo(json.dumps(plain, indent=2))
    else:
        console.print(str(shares), highlight=False, markup=False, soft_wrap=True)
    if out is not None:
        shares.save(out)
        if not as_json:
            console.print(f"written: {out}", highlight=False, markup=False)
