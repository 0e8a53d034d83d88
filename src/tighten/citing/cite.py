"""What a run, a file or a recipe used, and the references for it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tighten import recipes
from tighten.artifact import Artifact
from tighten.citing.reference import Reference
from tighten.citing.sources import cited_in, source_of
from tighten.engine.average import Average
from tighten.engine.distillation import Distillation
from tighten.errors import RecipeError, RunError, SetError
from tighten.imports import load_named
from tighten.plan import Stage
from tighten.progressive import progressive
from tighten.recipes import Distill, Recipe
from tighten.sets import Intersection, Set, from_data


@dataclass(frozen=True)
class Citations:
    """References, and for what each is.

    Args:
        uses: what was used with what its docstring says under `Source:`, in the order of use.
    """

    uses: dict[str, str]

    @property
    def references(self) -> list[tuple[Reference, list[str]]]:
        """Each reference once, with the names of what it is for."""
        found: dict[Reference, list[str]] = {}
        for name, source in self.uses.items():
            for reference in cited_in(source):
                found.setdefault(reference, []).append(name)
        return list(found.items())

    @property
    def others(self) -> dict[str, str]:
        """What names a source that is not listed here, as sets of one's own may."""
        return {name: source for name, source in self.uses.items() if source and not cited_in(source)}

    def plain(self) -> str:
        """A line for each, and for what it is."""
        lines = [f"{reference.plain()}\n    for {', '.join(names)}" for reference, names in self.references]
        return "\n".join([*lines, *(f"{source}\n    for {name}" for name, source in self.others.items())])

    def bibtex(self) -> str:
        """The entries of a bibliography."""
        return "\n\n".join(reference.bibtex() for reference, _ in self.references)

    def __str__(self) -> str:
        return self.plain()


def cite(what: str) -> Citations:
    """The references for exactly what was used.

    Args:
        what: the folder of a run or a shrink, a `.tight` file (which knows its sets, model and data, not the way
            there), or a recipe by name or path.

    Raises:
        TightenError: it is none of these, or damaged.
    """
    path = Path(what)
    if path.is_dir():
        used = _folder(path)
    elif path.suffix == ".tight":
        used = _file(Artifact.open(path))
    else:
        recipe = recipes.load(what)[0]
        used = _recipe(recipe) if recipe.stages else _shrink(recipe, None)
    return Citations({name: source for name, source in dict(used).items() if source})


Used = Iterator[tuple[str, str]]


def _folder(folder: Path) -> Used:
    if (folder / "shrink.toml").exists():
        text = (folder / "shrink.toml").read_text(encoding="utf-8")
        try:
            bits = json.loads(text.partition("\n")[0].removeprefix("#"))["bits"]
        except (ValueError, KeyError, TypeError) as error:
            raise RunError(f"'{folder / 'shrink.toml'}' does not begin with what was asked for: restore it") from error
        return _shrink(recipes.parse(text, f"'{folder}'"), bits)
    if (folder / "recipe.toml").exists():
        text = (folder / "recipe.toml").read_text(encoding="utf-8")
        try:
            return _recipe(recipes.parse(text, f"'{folder}'"))
        except RecipeError:
            # The step of a search holds its stages as data.
            return _file(Artifact.open(folder / "net.tight"))
    raise RunError(f"there is no run in '{folder}': give the --out of a run, a .tight file or a recipe")


def _file(artifact: Artifact) -> Used:
    sets = artifact.meta.get("sets")
    yield _named(progressive, "tighten")
    for data in sets.values() if isinstance(sets, dict) else ():
        try:
            yield from _set(from_data(data))
        except SetError:
            continue
    yield from _shipped(artifact.meta)


def _recipe(recipe: Recipe) -> Used:
    yield _named(progressive, "tighten")
    yield from _stages(recipe, recipe.plan())


def _shrink(recipe: Recipe, bits: int | None) -> Used:
    table = recipe.shrink
    stages = table.prune({"rate": 2.0}, "") + (table.levels(bits) if bits is not None else [])
    searched = recipe.model_copy(update={"stages": [recipes.StageTable.model_validate(stage) for stage in stages]})
    yield _named(progressive, "tighten")
    yield from _stages(searched, searched.plan())


def _stages(recipe: Recipe, plan: Iterable[Stage]) -> Used:
    for stage, table in zip(plan, recipe.stages, strict=True):
        yield _named(type(stage.method))
        for constraint in stage.sets.values():
            yield from _set(constraint)
        if stage.budget is not None and any(s.is_open for s in stage.sets.values()):
            yield _named(stage.allocate)
        if table.distill is not None:
            yield _named(Distill, "distillation")
            if table.distill.features:
                yield _named(Distillation, "distillation of features")
        if table.average:
            yield _named(Average, "averaged weights")
    yield from _shipped(recipe.facts())


def _set(constraint: Set) -> Used:
    if isinstance(constraint, Intersection):
        yield from _set(constraint.support)
        yield from _set(constraint.levels)
    else:
        yield _named(type(constraint))


def _shipped(facts: dict[str, Any]) -> Used:
    """The model and data; code of others is not imported to be cited."""
    for key in ("model", "data"):
        name = facts.get(key)
        if isinstance(name, str) and name.startswith("tighten."):
            yield _named(load_named(name, key), name.partition(":")[2])


def _named(thing: Any, name: str = "") -> tuple[str, str]:
    return name or thing.__name__, source_of(thing)
