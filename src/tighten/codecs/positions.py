"""Which entries of a grid are kept, and on which level, where levels are few and the grid is not too large."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from tighten.codecs import groups
from tighten.codecs.cells import PACES, Cells, Geometry
from tighten.codecs.coder import Coder, Trying
from tighten.codecs.gaps import gaps
from tighten.codecs.layout import FEW_CELLS, MOST_CELLS, MOST_COMPARED, hinted, layout, linkable, remember, row_hints
from tighten.errors import ArtifactError

Grid = NDArray[np.bool_]
_FEWEST_ALIKE = 8
_SLOW = 1
_EMPTY, _FULL, _GROUPS, _GAPS, _ACROSS, _CELLS, _LINKED, _FED = range(8)


@dataclass(frozen=True)
class Levels:
    """How many levels lie below and above zero, and whether an entry may be zero."""

    zero: bool
    negative: int
    positive: int


_SUPPORT = Levels(True, 0, 1)


def positions(coder: Coder, grid: Grid | None, shape: tuple[int, ...]) -> Grid:
    """The support `grid` of this shape, by the way that is shortest."""
    ways = [] if grid is None else _ways(coder, grid, shape)
    way = coder.number(_best(coder, grid, shape, ways) if grid is not None else None, "way", _FED)
    got = _support(coder, grid, shape, way)
    remember(coder, got)
    return got


def entries(coder: Coder, values: NDArray[np.int32] | None, shape: tuple[int, ...], of: Levels) -> NDArray[np.int32]:
    """Signed places of levels, 0 where nothing is kept; at most `MOST_CELLS` of them."""
    way, pace = (None, None) if values is None else _best_entries(coder, values, shape, of)
    way = _CELLS + coder.number(None if way is None else way - _CELLS, "linked", _FED - _CELLS)
    if coder.paced:
        pace = coder.number(pace, "pace", len(PACES) - 1)
    got = _cells(coder, values, shape, of, way, pace or 0)
    remember(coder, got != 0)
    return got


def _best_entries(coder: Coder, values: NDArray[np.int32], shape: tuple[int, ...], of: Levels) -> tuple[int, int]:
    """The way and the pace that are shortest."""
    assert isinstance(coder, Trying)

    @cache
    def cost(way: int, pace: int) -> float:
        trial = coder.trial()
        _cells(trial, values, shape, of, way, pace)
        return trial.cost()

    way = min(_cell_ways(coder, values, shape, of), key=lambda way: cost(way, 0))
    if len(shape) < 2 or shape[0] < _FEWEST_ALIKE or shape[0] * values.size > MOST_COMPARED:
        return way, 0
    if cost(way, _SLOW) >= cost(way, 0):
        return way, 0
    return way, min(range(1, len(PACES)), key=lambda pace: cost(way, pace))


def _best(coder: Coder, grid: Grid, shape: tuple[int, ...], ways: list[int]) -> int:
    if len(ways) == 1:
        return ways[0]
    assert isinstance(coder, Trying)
    costs = {}
    for way in ways:
        trial = coder.trial()
        _support(trial, grid, shape, way)
        costs[way] = trial.cost()
    return min(costs, key=costs.__getitem__)


def _ways(coder: Coder, grid: Grid, shape: tuple[int, ...]) -> list[int]:
    kept = int(grid.sum())
    if kept == 0:
        return [_EMPTY]
    if kept == grid.size:
        return [_FULL]
    if grid.size > MOST_CELLS:
        return [_GAPS, _ACROSS] if len(shape) > 1 and grid.size <= 8 * MOST_CELLS else [_GAPS]
    ways = _cell_ways(coder, grid.astype(np.int32), shape, _SUPPORT)
    return [_GROUPS, *ways] if groups.best_group(grid.reshape(-1), shape) is not None else ways


def _cell_ways(coder: Coder, values: NDArray[np.int32], shape: tuple[int, ...], of: Levels) -> list[int]:
    if not linkable(coder, shape):
        return [_CELLS]
    _, fed = layout(coder, shape, True)
    closed = fed is not None and of.zero and (fed == 0).any() and not values.reshape(shape[0], -1)[:, fed == 0].any()
    return [_CELLS, _FED if closed else _LINKED]


def _support(coder: Coder, grid: Grid | None, shape: tuple[int, ...], way: int) -> Grid:
    if way == _EMPTY or 0 in shape:
        return np.zeros(shape, dtype=np.bool_)
    if way == _FULL:
        return np.ones(shape, dtype=np.bool_)
    if way == _GROUPS:
        flat = None if grid is None else grid.reshape(-1)
        entries = None if flat is None else groups.best_group(flat, shape)
        return groups.by_groups(coder, flat, math.prod(shape), entries).reshape(shape)
    if way in (_GAPS, _ACROSS):
        rows = shape[0] if len(shape) > 1 else 1
        columns = math.prod(shape) // max(rows, 1)
        matrix = None if grid is None else grid.reshape(rows, columns)
        if way == _ACROSS:
            across = gaps(coder, None if matrix is None else np.ascontiguousarray(matrix.T), columns, rows)
            return np.ascontiguousarray(across.T).reshape(shape)
        return gaps(coder, matrix, rows, columns).reshape(shape)
    got: Grid = _cells(coder, None if grid is None else grid.astype(np.int32), shape, _SUPPORT, way) != 0
    return got


def _cells(
    coder: Coder, values: NDArray[np.int32] | None, shape: tuple[int, ...], of: Levels, way: int, pace: int = 0
) -> NDArray[np.int32]:
    if math.prod(shape) > FEW_CELLS:
        raise ArtifactError(f"a support of {math.prod(shape)} entries is coded one by one, at most {FEW_CELLS} can be")
    linked = way != _CELLS and linkable(coder, shape)
    four, fed = layout(coder, shape, linked)
    columns = math.prod(four[1:])
    if pace and four[0] * math.prod(shape) > MOST_COMPARED:
        raise ArtifactError(f"{four[0]} rows of a tensor of {math.prod(shape)} entries are compared, that is too much")
    hint = np.zeros(columns, dtype=np.int64) if fed is None else hinted(fed)
    open_ = np.ones(columns, dtype=np.uint8)
    if way == _FED and fed is not None:
        open_ = (fed > 0).astype(np.uint8)
    rows = row_hints(coder, shape, linked)
    got = Cells(Geometry(four, of.zero, of.negative, of.positive, pace), values, open_, hint, rows).code(coder)
    return np.ascontiguousarray(got).reshape(shape)
