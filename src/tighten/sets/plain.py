"""Sets as plain data, for recipes, checkpoints and the headers of files."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any, TypeGuard

from tighten.errors import SetError
from tighten.sets.base import Set
from tighten.sets.intersection import Intersection
from tighten.suggest import nearest

HOME = "tighten.sets"


def to_data(s: Set) -> dict[str, Any] | list[dict[str, Any]]:
    """The set as a name and settings, an intersection as a list of two.

    A set from elsewhere is named `module:Name`.
    """
    if isinstance(s, Intersection):
        return [_one(s.support), _one(s.levels)]
    return _one(s)


def from_data(data: object) -> Set:
    """The set that `to_data` wrote, or that a recipe names.

    Args:
        data: `{"name": "Sparse", "count": 5}`, or a list of two such. The name is one of `tighten.sets`, or
            `module:Name` of a module that the program has imported itself; nothing is imported here.

    Raises:
        SetError: another form, an unknown name or setting, or a value that cannot be.
    """
    if isinstance(data, Mapping):
        return _made(data)
    if isinstance(data, list) and len(data) == 2 and all(isinstance(part, Mapping) for part in data):
        return Intersection.of(_made(data[0]), _made(data[1]))
    raise SetError(
        f'{data!r} does not describe a set: write {{"name": "Sparse", "density": 0.1}}, or a list of two for an '
        f"intersection"
    )


def _one(s: Set) -> dict[str, Any]:
    kind = type(s)
    home = kind.__module__
    name = kind.__name__ if getattr(sys.modules[HOME], kind.__name__, None) is kind else f"{home}:{kind.__name__}"
    plain = {key: list(value) if isinstance(value, tuple) else value for key, value in s.settings().items()}
    return {"name": name, **plain}


def _made(data: Mapping[str, Any]) -> Set:
    settings = {key: tuple(value) if isinstance(value, list) else value for key, value in data.items()}
    name = settings.pop("name", None)
    kind = _kind(name)
    known: list[str] = [field.name for field in fields(kind)] if is_dataclass(kind) else []
    for key in settings:
        if key not in known:
            raise SetError(
                f"{name} has no setting '{key}'{nearest(str(key), known)}; it has {', '.join(known) or 'none'}"
            )
    try:
        return kind(**settings)
    except TypeError as error:
        raise SetError(f"{name} cannot be made from {settings}: {error}") from error


def _kind(name: object) -> type[Set]:
    module, colon, short = str(name).rpartition(":")
    home = sys.modules.get(module if colon else HOME)
    kind = vars(home).get(short) if home is not None and isinstance(name, str) else None
    if not _is_concrete(kind):
        valid = [key for key, value in vars(sys.modules[HOME]).items() if _is_concrete(value)]
        raise SetError(f"there is no set {name!r}{nearest(str(name), valid)}; give one of {', '.join(sorted(valid))}")
    return kind


def _is_concrete(kind: object) -> TypeGuard[type[Set]]:
    is_set = isinstance(kind, type) and issubclass(kind, Set) and not inspect.isabstract(kind)
    return is_set and kind is not Intersection
