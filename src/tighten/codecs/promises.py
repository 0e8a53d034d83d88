"""The sets that a file promises, as far as they follow from its codes.

Most promises are `Sparse` with a count a little above what is kept, and levels that the table shows. These take a few
bits in the coded stream; any other stays in the header as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tighten.codecs.coder import Coder
from tighten.codes import Code, Indexed, Sparse


@dataclass(frozen=True)
class Outline:
    """What a promise can be about.

    Args:
        kept: entries of the support; None where there is none.
        levels: of the table; None where there is none.
    """

    kept: int | None
    levels: int | None

    @classmethod
    def of(cls, code: Code) -> Outline:
        inner = code.inner if isinstance(code, Sparse) else code
        return cls(
            inner.shape[0] if isinstance(code, Sparse) else None,
            len(inner.steps) if isinstance(inner, Indexed) else None,
        )


_HEADER, _STANDARD = range(2)
_NONE, _UNIFORM, _BINARY, _TERNARY, _POWERS = range(5)


def promises(coder: Coder, given: Mapping[str, Any] | None, codes: Mapping[str, Outline]) -> dict[str, Any]:
    """The standard promises of these codes; `given` are all promises, of which others are skipped."""
    got: dict[str, Any] = {}
    for name, code in codes.items():
        parts = None if given is None else _apart(given.get(name), code)
        if coder.number(None if given is None else _HEADER if parts is None else _STANDARD, "promise", _STANDARD):
            spare, levels = (None, None) if parts is None else parts
            if code.kept is not None:
                spare = coder.number(spare, "spare")
            levels = coder.number(levels, "promised levels", _POWERS)
            got[name] = _together(code, spare, levels)
    return got


def _apart(data: Any, code: Outline) -> tuple[int, int] | None:
    """The spare count and the kind of levels, where these say it all."""
    if data is None:
        return None
    parts = data if isinstance(data, list) else [data]
    spare = 0
    if code.kept is not None:
        count = parts[0].get("count") if parts and isinstance(parts[0], dict) else None
        if not isinstance(count, int) or isinstance(count, bool) or not 0 <= count - code.kept < 2**40:
            return None
        spare = count - code.kept
    for levels in range(_POWERS + 1):
        made = _together(code, spare, levels)
        # Equal is not enough: 1 and True and 1.0 are equal, and are told apart in a file.
        if repr(made) == repr(data):
            return spare, levels
    return None


def _together(code: Outline, spare: int | None, levels: int) -> Any:
    bits = 0 if code.levels is None else (code.levels - 1).bit_length()
    kinds: list[dict[str, Any] | None] = [
        None,
        {"name": "Uniform", "bits": bits, "zero": False},
        {"name": "Binary"},
        {"name": "Ternary"},
        {"name": "PowerOfTwo", "bits": bits},
    ]
    support = {"name": "Sparse", "count": code.kept + (spare or 0)} if code.kept is not None else None
    parts = [part for part in (support, kinds[levels]) if part is not None]
    if not parts:
        return None
    return parts[0] if len(parts) == 1 else parts
