"""Things named by import path, such as `my_package.nets:Net`."""

from __future__ import annotations

import importlib
import inspect
from typing import Any

from tighten.errors import RecipeError


def load_named(path: str, what: str) -> Any:
    """The object at an import path.

    Args:
        path: `module:name`.
        what: how messages call it, such as "model".

    Raises:
        RecipeError: the path has another form, or nothing is there.
    """
    module_name, colon, name = path.partition(":")
    if not colon or not module_name or not name:
        raise RecipeError(f"the {what} '{path}' is not an import path: write it as 'package.module:name'")
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        raise RecipeError(
            f"the {what} '{path}' cannot be imported ({error}): is its folder on PYTHONPATH or its package installed?"
        ) from error
    if not hasattr(module, name):
        raise RecipeError(f"the {what} '{path}' does not exist: module '{module_name}' has no '{name}'")
    return getattr(module, name)


def call_named(path: str, what: str, *args: Any, **settings: Any) -> Any:
    """What the function or class at an import path gives.

    Raises:
        RecipeError: as `load_named`, or it does not take these arguments.
    """
    function = load_named(path, what)
    try:
        bound = inspect.signature(function).bind(*args, **settings)
    except (TypeError, ValueError) as error:
        given = ", ".join([*map(repr, args), *(f"{key}=..." for key in settings)])
        raise RecipeError(
            f"the {what} '{path}' cannot be called with ({given}): {error}; name a function that can"
        ) from error
    return function(*bound.args, **bound.kwargs)
