"""`tighten watch`: how far a run is, read off its folder, whoever carries it out and wherever."""

from __future__ import annotations

import contextlib
import json
import time
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from tighten import recipes
from tighten.cli.options import console
from tighten.errors import RecipeError, RunError


def watch(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a run, or of a `tighten shrink`.")],
    once: Annotated[bool, typer.Option("--once", help="Show how it stands now, and end.")] = False,
    seconds: Annotated[float, typer.Option(min=0.2, help="Between two looks.")] = 2.0,
) -> None:
    """Show how far a run is, until it ends or you stop it with Ctrl-C; the run itself is not touched."""
    shown, finished = standing(run)
    if once or finished:
        console.print(shown)
        return
    # Stopping to look is no failure.
    with contextlib.suppress(KeyboardInterrupt), Live(shown, console=console, auto_refresh=False) as live:
        while not finished:
            time.sleep(seconds)
            shown, finished = standing(run)
            live.update(shown, refresh=True)


def standing(folder: Path) -> tuple[RenderableType, bool]:
    """What a folder says of its run, and whether that is over.

    Raises:
        RunError: the folder holds none, or a damaged one.
    """
    if (folder / "shrink.toml").exists():
        return _search(folder)
    if not (folder / "recipe.toml").exists():
        raise RunError(f"there is no run in '{folder}': give the folder that `tighten run` was told with --out")
    epochs = _lines(folder / "log.jsonl")
    result = _json(folder / "result.json")
    return Group(_stages(folder, epochs), _line(folder, epochs, result)), result is not None


def _stages(folder: Path, epochs: list[dict[str, Any]]) -> Table:
    """A row for each stage: where it is, or was when it ended."""
    table = Table("stage")
    for column in ("epochs", "loss", "val. %", "rho", "residual", "s/epoch"):
        table.add_column(column, justify="right", no_wrap=True)
    begun: list[list[dict[str, Any]]] = []
    for epoch in epochs:
        if epoch["epoch"] == 1 or not begun:
            begun.append([])
        begun[-1].append(epoch)
    for stage in begun:
        last = stage[-1]
        pull = (f"{last['rho']:.2g}", f"{last['primal']:.3f}") if last["rho"] else ("", "")
        mean = sum(epoch["seconds"] for epoch in stage) / len(stage)
        numbers = (f"{last['loss']:.4f}", f"{last['accuracy']:.2f}", *pull, f"{mean:.1f}")
        table.add_row(Text(last["stage"]), f"{last['epoch']}/{last['epochs']}", *numbers)
    for name, count in _planned(folder)[len(begun) :]:
        table.add_row(Text(name, style="dim"), f"0/{count}")
    return table


def _line(folder: Path, epochs: list[dict[str, Any]], result: dict[str, Any] | None) -> Text:
    if result is not None:
        total = result["report"]["sizes"]["total"]
        return Text(
            f"finished: test accuracy {result['accuracy']:.2f} % (dense {result['dense_accuracy']:.2f} %), "
            f"{total:,} bytes, {result['epochs']} epochs"
        )
    if not epochs:
        return Text("no epoch of a stage is finished yet; the dense network is trained first")
    rest = sum(count for _, count in _planned(folder)) - len(epochs)
    ago = time.time() - (folder / "log.jsonl").stat().st_mtime
    left = f", about {_span(rest * epochs[-1]['seconds'])} to go" if rest > 0 else ""
    return Text(f"{len(epochs)} epochs done, the last one {_span(ago)} ago{left}")


def _search(folder: Path) -> tuple[RenderableType, bool]:
    """The steps of a search so far, and the run of the one at work."""
    way = _json(folder / "way.json") or {"steps": [], "best": ""}
    table = Table("step")
    for column in ("kept", "bytes", "val. %", "gate"):
        table.add_column(column, justify="right", no_wrap=True)
    for step in way["steps"]:
        verdict = ("best" if step["name"] == way["best"] else "passed") if step["passed"] else "failed"
        name = f"{step['name'].removeprefix('step-')} {step['kind']}"
        table.add_row(Text(name), f"{step['kept']:,}", f"{step['bytes']:,}", f"{step['accuracy']:.2f}", verdict)
    if (folder / "report.html").exists():
        return Group(table, Text(f"finished: {way['best'] or 'no step passed the gate'}")), True
    at_work = folder / f"step-{len(way['steps']) + 1:02d}"
    if not (at_work / "recipe.toml").exists():
        return Group(table, Text("between two steps, or the dense network is being trained")), False
    return Group(table, Text(f"at work: {at_work.name}"), standing(at_work)[0]), False


def _planned(folder: Path) -> list[tuple[str, int]]:
    """Name and epochs of each stage; empty for a step of a search, whose recipe is made as it goes."""
    try:
        recipe = recipes.parse((folder / "recipe.toml").read_text(encoding="utf-8"), str(folder))
        return [(str(stage), stage.epochs) for stage in recipe.plan()]
    except (RecipeError, OSError):
        return []


def _lines(path: Path) -> list[dict[str, Any]]:
    if not path.exists():
        return []
    with _readable(path):
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def _json(path: Path) -> dict[str, Any] | None:
    if not path.exists():
        return None
    with _readable(path):
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return found


@contextlib.contextmanager
def _readable(path: Path) -> Any:
    try:
        yield
    except (OSError, ValueError) as error:
        raise RunError(f"'{path}' cannot be read ({error}): the run writes it anew at its next epoch") from error


def _span(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
