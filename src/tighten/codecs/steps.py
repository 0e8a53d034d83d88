"""The table of an `Indexed` code: a few numbers, most often whole ones or powers of two."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from tighten.codecs.coder import Coder
from tighten.codecs.scalars import scalars

_PLAIN, _WHOLE, _POWERS, _BALANCED = range(4)
LAST_OF_FORMAT_1 = _POWERS
_LARGEST_WHOLE = 2**20


def steps(coder: Coder, table: Tensor | None, of: torch.dtype, levels: int, last: int = _BALANCED) -> Tensor:
    """A table of so many levels, in its order.

    Args:
        last: the last way that the format knows.
    """
    way = coder.number(None if table is None else _best_way(table, last), "steps", last)
    if way == _BALANCED:
        return _balanced(levels, of)
    if way == _WHOLE:
        return _from_wholes(_wholes(coder, None if table is None else _as_wholes(table), levels, "whole"), of)
    if way == _POWERS:
        signs = [False] * levels if table is None else [v < 0 for v in table.double().tolist()]
        signs = [coder.bit(None if table is None else sign, "step sign") for sign in signs]
        powers = _wholes(coder, None if table is None else _as_powers(table), levels, "power")
        return _from_powers(signs, powers, of)
    return scalars(coder, table, of, (levels,))


def _best_way(table: Tensor, last: int) -> int:
    # Small floats have hardly any operations of their own.
    if not table.is_floating_point() or not table.double().isfinite().all():
        return _PLAIN
    values = table.double().tolist()
    if last >= _BALANCED and _same(_balanced(len(values), table.dtype), table):
        return _BALANCED
    if all(v.is_integer() and abs(v) <= _LARGEST_WHOLE for v in values):
        if _same(_from_wholes(_as_wholes(table), table.dtype), table):
            return _WHOLE
    elif all(v != 0 and abs(math.frexp(v)[0]) == 0.5 for v in values):
        return _POWERS
    return _PLAIN


def _balanced(levels: int, of: torch.dtype) -> Tensor:
    """-2, -1, 1, 2; or -2, -1, 0, 1, 2 where the number of levels is odd."""
    half = levels // 2
    values = [v for v in range(-half, half + 1) if v != 0 or levels % 2]
    return torch.tensor(values, dtype=torch.float64).to(of)


def _wholes(coder: Coder, values: list[int] | None, count: int, context: str) -> list[int]:
    """Whole numbers, each by its distance from the one before."""
    got: list[int] = []
    for i in range(count):
        before = got[-1] if got else 0
        step = None if values is None else values[i] - before
        # 0, -1, 1, -2, 2 ... as 0, 1, 2, 3, 4 ...
        code = coder.number(None if step is None else 2 * step if step >= 0 else -2 * step - 1, context, 2**23)
        got.append(before + (code // 2 if code % 2 == 0 else -(code + 1) // 2))
    return got


def _as_wholes(table: Tensor) -> list[int]:
    return [int(v) for v in table.double().tolist()]


def _from_wholes(values: list[int], of: torch.dtype) -> Tensor:
    return torch.tensor(values, dtype=torch.float64).to(of)


def _as_powers(table: Tensor) -> list[int]:
    return [math.frexp(v)[1] - 1 for v in table.double().tolist()]


def _from_powers(signs: list[bool], powers: list[int], of: torch.dtype) -> Tensor:
    values = [math.ldexp(-1.0 if sign else 1.0, power) for sign, power in zip(signs, powers, strict=True)]
    return torch.tensor(values, dtype=torch.float64).to(of)


def _same(a: Tensor, b: Tensor) -> bool:
    return torch.equal(a.view(torch.uint8), b.contiguous().cpu().view(torch.uint8))
