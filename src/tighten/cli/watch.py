"""Long work watched from a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer
from rich.console import Console

from tighten.cli.options import console

if TYPE_CHECKING:
    from tighten.cli.progress import Progress


@contextmanager
def watched(threads: int | None, as_json: bool = False, again: str = "go on with --resume") -> Iterator[Progress]:
    """A listener that shows progress; Ctrl-C inside ends the program with a word on how to go on.

    Args:
        threads: processor threads; None leaves PyTorch's own choice.
        as_json: show progress on standard error: standard output is for another program to read.
        again: how to go on.
    """
    # The training half takes seconds to import; commands that only read a file do without it.
    import torch

    from tighten.cli.progress import Progress

    if threads is not None:
        torch.set_num_threads(threads)
    try:
        with Progress(Console(stderr=True) if as_json else console) as progress:
            yield progress
    except KeyboardInterrupt:
        typer.echo(f"stopped; the last finished epoch is kept: {again}", err=True)
        raise typer.Exit(130) from None
