"""What several commands ask for, said once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

console = Console()

RecipeArgument = Annotated[str, typer.Argument(help="A shipped recipe's name, or the path of a .toml file.")]
DataOption = Annotated[Path | None, typer.Option("--data", metavar="DIR", help="Folder of the data set.")]
WeightsOption = Annotated[
    Path | None,
    typer.Option("--weights", metavar="FILE", help="The trained network, in place of the recipe's dense training."),
]
SeedOption = Annotated[int | None, typer.Option(help="In place of the recipe's seed.")]
ResumeOption = Annotated[bool, typer.Option("--resume", help="Go on with what the run folder holds.")]
DownloadOption = Annotated[bool, typer.Option("--download", help="Fetch the data set where it is missing.")]
ThreadsOption = Annotated[int | None, typer.Option(min=1, help="Processor threads.")]
FileArgument = Annotated[Path, typer.Argument(metavar="FILE", help="A .tight file.")]
ModelOption = Annotated[
    str | None, typer.Option("--model", metavar="PKG.MOD:NET", help="The model, where it is not of tighten.zoo.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")]
