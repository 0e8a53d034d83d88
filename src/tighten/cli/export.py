"""`tighten export`: a network in forms that other programs read."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from tighten.cli.options import FileArgument, ModelOption, console
from tighten.cli.reading import reading
from tighten.errors import ArtifactError

# Written out: to import the forms would slow down every command.
FORMS_HELP = "One of c99, compressed-tensors, onnx, onnx-int, safetensors, shrunk, torchao."


def export(
    file: FileArgument,
    to: Annotated[str, typer.Option("--to", metavar="FORM", help=FORMS_HELP)] = "safetensors",
    model: ModelOption = None,
    shape: Annotated[
        str | None,
        typer.Option("--input", metavar="C,H,W", help="Shape of one input; that of the file's data where not given."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="PATH", help="File to write; beside the input where not given.")
    ] = None,
) -> None:
    """Write the network in a form that other programs read."""
    from tighten import export as exporters
    from tighten.artifact import Artifact

    sizes = None if shape is None else parse_shape(shape)
    with reading() as seen:
        artifact = Artifact.open(file, seen)
    written = exporters.export(
        artifact, to, out, beside=file, network=lambda: exporters.Network.of(artifact, model, sizes)
    )
    for line in written.lines:
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    console.print(f"written: {written.path}", highlight=False, markup=False, soft_wrap=True)


def parse_shape(text: str) -> tuple[int, ...]:
    """The shape that `--input` says.

    Raises:
        ArtifactError: it is not a list of positive whole numbers.
    """
    sizes = [part.strip() for part in text.split(",")]
    if not all(re.fullmatch("[1-9][0-9]{0,8}", size) for size in sizes):
        raise ArtifactError(f"--input {text!r} is not a shape: give positive whole numbers, such as --input 3,32,32")
    return tuple(map(int, sizes))
