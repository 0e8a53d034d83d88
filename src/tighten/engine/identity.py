"""What tells run folders of one recipe apart: the files that it reads."""

from __future__ import annotations

import hashlib

from tighten.engine.pretrained import is_published
from tighten.errors import RunError
from tighten.recipes import Recipe


def identity(recipe: Recipe) -> str:
    """Comment lines for the trained weights and the shares that a recipe names; may be empty.

    They depend on the bytes of the files, not on their names.

    Raises:
        RunError: the recipe neither trains a dense network nor is given one, or a file cannot be read.
    """
    if recipe.dense.weights is None and not recipe.dense.epochs:
        raise RunError(
            f"the recipe '{recipe.name}' starts from a trained network and none is given: add --weights FILE, "
            "or a [dense] table with epochs and learning_rate to the recipe"
        )
    named = [("weights", recipe.dense.weights, "give --weights FILE")]
    named += [("shares", stage.shares, "make them with `tighten allocate ... --out`") for stage in recipe.stages]
    return "".join(_line(what, path, fix) for what, path, fix in named if path is not None)


def _line(what: str, path: str, fix: str) -> str:
    if is_published(path):
        return f"# {what} {path}\n"
    try:
        with open(path, "rb") as file:
            return f"# {what} of SHA-256 {hashlib.file_digest(file, 'sha256').hexdigest()}\n"
    except OSError as error:
        raise RunError(f"the {what} '{path}' cannot be read ({error.strerror or error}): {fix}") from error
