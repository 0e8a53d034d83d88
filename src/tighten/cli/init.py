"""`tighten init`: a recipe for one's own model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tighten.cli.options import console


def init(
    model: Annotated[
        str, typer.Argument(metavar="PKG.MOD:NET", help="The model: a class or function, called without arguments.")
    ],
    data: Annotated[
        str | None,
        typer.Option("--data", metavar="PKG.MOD:SOURCE", help="The data; a file for it is written if not given."),
    ] = None,
    weights: Annotated[
        Path | None,
        typer.Option("--weights", metavar="FILE", help="The trained network; it is trained first if not given."),
    ] = None,
    shape: Annotated[
        str | None, typer.Option("--input", metavar="C,H,W", help="Shape of one example; found by trying if not given.")
    ] = None,
    rate: Annotated[float, typer.Option(min=1.01, help="All weights divided by those that are kept.")] = 10.0,
    bits: Annotated[int, typer.Option(min=1, max=8, help="Of a kept weight.")] = 4,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder for what is written.")] = Path(),
) -> None:
    """Look at a model of your own and write a commented recipe for it, which can be run as it is."""
    from torch import nn

    from tighten.cli.export import parse_shape
    from tighten.errors import RecipeError
    from tighten.imports import call_named, load_named
    from tighten.starting import look, write

    made = call_named(model, "model")
    if not isinstance(made, nn.Module):
        raise RecipeError(f"the model '{model}' makes a {type(made).__name__}, not a torch.nn.Module")
    if data is not None:
        load_named(data, "data")
    found = look(made, None if shape is None else parse_shape(shape))
    written = write(
        found, model, out, data=data, weights=None if weights is None else str(weights), rate=rate, bits=bits
    )
    kept = sum(layer.entries for layer in found.chosen)
    lines = [
        f"{type(made).__name__} takes {'x'.join(map(str, found.input_shape))} and tells {found.classes} classes apart",
        f"compressed: {len(found.chosen)} weights, {kept:,} entries; left alone: {len(found.skipped)} tensors",
        *(f"  {layer.name}: {layer.skipped}" for layer in found.skipped if len(layer.shape) >= 2),
        f"written: {written.recipe}" + (f", {written.data}" if written.data else ""),
    ]
    if written.data is not None:
        lines.append(f"the data is made up until you fill in load() in {written.data}")
    lines.append(f"next: tighten run {written.recipe}")
    for line in lines:
        console.print(line, highlight=False, markup=False, soft_wrap=True)
