"""Recipes found by name or path, and read with messages that name the mistake."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from tighten.errors import RecipeError
from tighten.recipes.schema import Recipe
from tighten.suggest import nearest


def shipped() -> dict[str, str]:
    """The text of each recipe that comes with the package, by name."""
    folder = resources.files("tighten.recipes")
    files = sorted((f for f in folder.iterdir() if f.name.endswith(".toml")), key=lambda f: f.name)
    return {f.name.removesuffix(".toml"): f.read_text(encoding="utf-8") for f in files}


def load(name_or_path: str) -> tuple[Recipe, str]:
    """The recipe of this name or in this file, with its text.

    Raises:
        RecipeError: there is no such recipe, or it says something that cannot be.
    """
    known = shipped()
    if name_or_path in known:
        return parse(known[name_or_path], f"recipe '{name_or_path}'"), known[name_or_path]
    path = Path(name_or_path)
    if path.suffix != ".toml" and not path.exists():
        raise RecipeError(
            f"there is no recipe '{name_or_path}'{nearest(name_or_path, known)}; `tighten recipes` lists them, "
            f"or give the path of a .toml file"
        )
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(f"the recipe '{path}' cannot be read: {error}") from error
    return parse(text, f"recipe '{path}'"), text


def parse(text: str, where: str) -> Recipe:
    """The recipe that a TOML text describes, checked as far as it can be without its model and data.

    Raises:
        RecipeError: not TOML, an unknown or missing key, or a value that cannot be.
    """
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise RecipeError(f"{where} is not valid TOML: {error}") from error
    try:
        recipe = Recipe.model_validate(data)
    except ValidationError as error:
        raise RecipeError(f"{where}: {_first(error)}") from error
    if recipe.stages:
        recipe.plan()
    return recipe


def _first(error: ValidationError) -> str:
    # An unknown key explains a missing one beside it, so it is told first.
    details = sorted(error.errors(), key=lambda detail: detail["type"] != "extra_forbidden")
    detail = details[0]
    place = ".".join(str(part) for part in detail["loc"])
    if detail["type"] == "extra_forbidden":
        key = str(detail["loc"][-1])
        valid = sorted({field for model in _tables(Recipe) for field in model.model_fields})
        valid_here = list(_table_at(detail["loc"][:-1]).model_fields)
        return f"unknown key '{place}'{nearest(key, valid_here) or nearest(key, valid)}; valid: {', '.join(valid_here)}"
    if detail["type"] == "missing":
        return f"the key '{place}' is missing: add it"
    return f"'{place}' is {detail['input']!r}: {detail['msg'][:1].lower()}{detail['msg'][1:]}"


def _table_at(location: tuple[Any, ...]) -> type[BaseModel]:
    table: type[BaseModel] = Recipe
    for key in location:
        if isinstance(key, str) and key in table.model_fields:
            table = next(iter(_inner(table.model_fields[key].annotation)), table)
    return table


def _tables(table: type[BaseModel]) -> Iterator[type[BaseModel]]:
    yield table
    for field in table.model_fields.values():
        for inner in _inner(field.annotation):
            yield from _tables(inner)


def _inner(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in _inner(part)]
