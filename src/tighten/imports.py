"""Things named by import path, such as `my_package.nets:Net`."""

from __future__ import annotations

import importlib
import inspect
from typing import Any

from tighten.errors import RecipeError
from tighten.torchvision_ops import import_torchvision


def load_named(path: str, what: str) -> Any:
    """The object at an import path.

    Args:
        path: `module:name`, or `module:Class.member`.
        what: how messages call it, such as "model".

    Raises:
        RecipeError: the path has another form, or nothing is there.
        DataError: it leads into torchvision, which is not installed.
    """
    module_name, colon, name = path.partition(":")
    if not colon or not module_name or not name:
        raise RecipeError(f"the {what} '{path}' is not an import path: write it as 'package.module:name'")
    if module_name.partition(".")[0] == "torchvision":
        import_torchvision()
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        raise RecipeError(
            f"the {what} '{path}' cannot be imported ({error}): is its folder on PYTHONPATH or its package installed?"
        ) from error
    found: Any = module
    for part in name.split("."):
        if not hasattr(found, part):
            raise RecipeError(f"the {what} '{path}' does not exist: module '{module_name}' has no '{name}'")
        found = getattr(found, part)
    return found


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
