"""The augmentation that a recipe names."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tighten.data import Compose, Flip, ImageData, Shift
from tighten.errors import RecipeError
from tighten.suggest import nearest

CHOICES: dict[str, Callable[..., Any]] = {"Shift": Shift, "Flip": Flip}


def augmentation(tables: Sequence[Mapping[str, Any]], data: ImageData) -> Compose | None:
    """The random changes to training batches, one after the other; None where there are none.

    Args:
        tables: a name and settings for each, such as `{"name": "Shift", "pixels": 2}`.
        data: what they are applied to; shifts are filled with its background.

    Raises:
        RecipeError: an unknown name, or settings that it does not take.
    """
    steps = []
    for table in tables:
        settings = dict(table)
        name = str(settings.pop("name", ""))
        if name not in CHOICES:
            near = nearest(name, CHOICES)
            raise RecipeError(f"unknown augmentation '{name}'{near}; give one of {', '.join(CHOICES)}")
        if name == "Shift":
            settings.setdefault("fill", data.fill)
        try:
            steps.append(CHOICES[name](**settings))
        except TypeError as error:
            raise RecipeError(f"augmentation {name} cannot be made from {settings}: {error}") from error
    return Compose(tuple(steps)) if steps else None
