"""The recipe, and a place for the data, as files to read and to edit."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from tighten import recipes
from tighten.atomic import write_whole
from tighten.errors import RunError
from tighten.starting.look import Look


@dataclass(frozen=True)
class Written:
    """What was written.

    Args:
        recipe: the recipe.
        data: the place for the data; None where an import path was given.
    """

    recipe: Path
    data: Path | None


def write(
    found: Look,
    model: str,
    folder: Path,
    *,
    data: str | None = None,
    weights: str | None = None,
    rate: float = 10.0,
    bits: int = 4,
) -> Written:
    """A commented recipe that can be run as it is, in a folder; nothing that is there is overwritten.

    Args:
        found: what the model consists of.
        model: its import path.
        folder: where the recipe goes, and the place for the data.
        data: import path of the data; None writes a place for it, with made-up examples until it is filled in.
        weights: file of trained weights; None trains first.
        rate: all weights divided by those that are kept.
        bits: of a kept weight.

    Raises:
        RunError: a file is there already, or cannot be written.
        RecipeError, PlanError: the rate or the bits cannot be.
    """
    name = model.partition(":")[0].rpartition(".")[2]
    source = folder / f"{name}_data.py" if data is None else None
    path = folder / f"{name}.toml"
    values = {
        "model": model,
        "name": name,
        "look": found,
        "data": data or f"{name}_data:data",
        "weights": weights,
        "rate": rate,
        "steps": [rate] if rate <= 8 else [round(rate**0.6, 1), rate],
        "bits": bits,
        "total": sum(layer.entries for layer in found.layers),
        "everything": all(len(layer.shape) < 2 for layer in found.skipped),
        "made_up": data is None,
        "quote": json.dumps,
    }
    text = _filled("recipe.toml.jinja", values)
    # What is written can be run: a rate that cannot be is told now.
    recipes.parse(text, f"'{path}'")
    for file, content in ((source, _filled("data.py.jinja", values)), (path, text)):
        if file is not None:
            _new(file, content)
    return Written(path, source)


def _filled(template: str, values: dict[str, object]) -> str:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).with_name("templates")),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template(template).render(values)


def _new(path: Path, text: str) -> None:
    if path.exists():
        raise RunError(f"'{path}' is there already: remove it, or choose another --out")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, text.encode())
    except OSError as error:
        raise RunError(f"'{path}' cannot be written ({error.strerror or error}): choose another --out") from error
