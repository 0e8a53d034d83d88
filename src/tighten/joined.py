"""Codes of parts made whole, and whole codes cut into parts: for files and checkpoints only."""

from __future__ import annotations

from dataclasses import replace
from typing import assert_never

import torch
from torch import Tensor

from tighten.codes import Code, Dense, Indexed, Sparse, expand
from tighten.sets import Intersection, LevelSet, Set, SupportSet
from tighten.sets.part import Part
from tighten.sets.support import pool


def joined(x: Tensor, part: Part | None) -> Tensor:
    """The whole tensor, in every process."""
    if part is None:
        return x
    boxes = part.parts.gathered(torch.tensor([*part.start, *x.shape], device=x.device)).view(-1, 2, x.ndim)
    flat = part.parts.gathered(x.reshape(-1))
    whole, at = x.new_empty(part.shape), 0
    for start, shape in boxes.tolist():
        box = tuple(slice(first, first + size) for first, size in zip(start, shape, strict=True))
        size = whole[box].numel()
        whole[box] = flat[at : at + size].view(shape)
        at += size
    return whole


def own(whole: Tensor, part: Part | None, shape: tuple[int, ...]) -> Tensor:
    """The part of a whole tensor, which has this shape here."""
    if part is None:
        return whole
    box = tuple(slice(first, first + size) for first, size in zip(part.start, shape, strict=True))
    return whole[box].clone()


def joined_code(code: Code, s: Set, part: Part | None) -> Code:
    """The code of the whole tensor, in every process.

    Args:
        code: of this part.
        s: the set that it is in.
        part: which part this is.
    """
    if part is None:
        return code
    match code:
        case Dense():
            return Dense(joined(code.values, part))
        case Indexed():
            return _joined_entries(code, code, s, part, torch.ones(part.shape, dtype=torch.bool))
        case Sparse():
            support = joined(code.support.to(torch.uint8), part) > 0
            unit = _unit(s, part.shape)
            inner = code.inner
            if isinstance(inner, Dense):
                entries: Dense | Indexed = Dense(joined(code.dense(), part)[support])
            else:
                entries = _joined_entries(code, inner, s, part, support)
            return Sparse(pool(support, unit), unit, entries)
        case _:
            assert_never(code)


def own_code(code: Code, s: Set, part: Part | None, shape: tuple[int, ...]) -> Code:
    """The code of this part, out of that of the whole tensor.

    Args:
        code: of the whole tensor.
        s: the set that it is in.
        part: which part this is.
        shape: of this part.
    """
    if part is None:
        return code
    match code:
        case Dense():
            return Dense(own(code.values, part, shape))
        case Indexed():
            return _own_entries(code, code.index, s, part, torch.ones(shape, dtype=torch.bool), shape)
        case Sparse():
            support = own(code.support, part, shape)
            grid, unit = own_grid(code.grid, code.unit, s, part, shape)
            if isinstance(code.inner, Dense):
                return Sparse(grid, unit, Dense(own(code.dense(), part, shape)[support]))
            index = torch.zeros(part.shape, dtype=code.inner.index.dtype, device=support.device)
            index[code.support] = code.inner.index
            return Sparse(grid, unit, _own_entries(code.inner, index, s, part, support, shape))
        case _:
            assert_never(code)


def joined_grid(grid: Tensor, unit: tuple[int, ...], s: Set, part: Part | None) -> tuple[Tensor, tuple[int, ...]]:
    """The grid of kept units of the whole tensor, and the shape of a unit there."""
    if part is None:
        return grid, unit
    whole = _unit(s, part.shape)
    return pool(joined(expand(grid, unit).to(torch.uint8), part) > 0, whole), whole


def own_grid(
    grid: Tensor, unit: tuple[int, ...], s: Set, part: Part | None, shape: tuple[int, ...]
) -> tuple[Tensor, tuple[int, ...]]:
    """The grid of kept units of this part, and the shape of a unit here."""
    if part is None:
        return grid, unit
    support = _support(s)
    here = (1,) * len(shape) if support is None else support.units_of(shape, grid.device, part).unit
    return pool(own(expand(grid, unit), part, shape), here), here


def _joined_entries(code: Code, inner: Indexed, s: Set, part: Part, support: Tensor) -> Indexed:
    local = torch.zeros(code.shape, dtype=inner.index.dtype, device=inner.index.device)
    if isinstance(code, Sparse):
        local[code.support] = inner.index
    else:
        local = inner.index
    index = joined(local, part)
    support = support.to(index.device)
    if not _per_channel(s):
        counts = torch.tensor([int(support.sum())], device=index.device)
        return replace(inner, index=_flat(index, support, code), counts=counts)
    scale = part.parts.gathered(inner.scale)
    return Indexed(_flat(index, support, code), inner.steps, scale, support.flatten(1).sum(1))


def _own_entries(inner: Indexed, index: Tensor, s: Set, part: Part, support: Tensor, shape: tuple[int, ...]) -> Indexed:
    local = own(index, part, shape)
    support = support.to(local.device)
    entries = local if index is inner.index else local[support]
    if not _per_channel(s):
        return replace(inner, index=entries, counts=torch.tensor([int(support.sum())], device=local.device))
    rows = slice(part.start[0], part.start[0] + shape[0])
    return Indexed(entries, inner.steps, inner.scale[rows].clone(), support.flatten(1).sum(1))


def _flat(index: Tensor, support: Tensor, code: Code) -> Tensor:
    return index[support] if isinstance(code, Sparse) else index


def _support(s: Set) -> SupportSet | None:
    if isinstance(s, Intersection):
        return s.support
    return s if isinstance(s, SupportSet) else None


def _per_channel(s: Set) -> bool:
    levels = s.levels if isinstance(s, Intersection) else s
    return isinstance(levels, LevelSet) and levels.per_channel


def _unit(s: Set, shape: tuple[int, ...]) -> tuple[int, ...]:
    support = _support(s)
    return (1,) * len(shape) if support is None else support.unit(shape)
