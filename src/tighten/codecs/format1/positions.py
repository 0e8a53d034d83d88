"""Which entries of a grid are kept.

There are several ways to say it, and the writer takes the shortest: entries scattered evenly; groups
of consecutive entries; or the grid seen as a matrix with the sums of its rows and columns (trained
supports use few of them, some of those much), where a column's sum may be guessed from the earlier
layer that feeds it.
"""

from __future__ import annotations

import math
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from tighten.codecs import groups
from tighten.codecs.coder import Coder, Ints
from tighten.codecs.format1 import margins
from tighten.codecs.format1.stream import Writer
from tighten.errors import ArtifactError

Grid: TypeAlias = NDArray[np.bool_]
Counts: TypeAlias = NDArray[np.int64]

_EMPTY, _FULL, _SCATTERED, _GROUPS, _MARGINS = range(5)
_BLOCK = 2**22
"""Cells coded in one call; bounds the memory."""
_MANY_CELLS = 2**23
"""Above it only the first way to see the grid as a matrix is tried."""


def positions(coder: Coder, grid: Grid | None, shape: tuple[int, ...]) -> Grid:
    """The support `grid` of this shape.

    The first number is the way: 0 empty, 1 full, 2 scattered, 3 groups, and from 4 on margins:
    `4 + 2 * axis + linked`, where the matrix has `shape[: axis + 1]` as rows and the other axes as columns.
    """
    way = _way(coder, None if grid is None else _best_way(coder, grid, shape), shape)
    got = _coded(coder, grid, shape, way)
    if len(shape) > 1 and shape[0] > 1:
        rows: Counts = got.reshape(shape[0], -1).sum(axis=1, dtype=np.int64)
        # The latest support comes last, so that it is found first by the layer that it feeds.
        coder.memory.pop(("rows", shape[0]), None)
        coder.memory["rows", shape[0]] = rows
    return got


def _way(coder: Coder, way: int | None, shape: tuple[int, ...]) -> int:
    return coder.number(way, "way", _MARGINS - 1 + 2 * max(len(shape) - 1, 0))


def _best_way(coder: Coder, grid: Grid, shape: tuple[int, ...]) -> int:
    kept = int(grid.sum())
    if kept == 0:
        return _EMPTY
    if kept == grid.size:
        return _FULL
    ways = [_SCATTERED]
    if groups.best_group(grid.reshape(-1), shape) is not None:
        ways.append(_GROUPS)
    for axis in range(len(shape) - 1 if grid.size <= _MANY_CELLS else min(1, len(shape) - 1)):
        rows = math.prod(shape[: axis + 1])
        columns = grid.size // rows
        if margins.worthwhile(rows, columns):
            ways.append(_MARGINS + 2 * axis)
            if axis == 0 and _feeding(coder, columns) is not None:
                ways.append(_MARGINS + 1)
    if len(ways) == 1:
        return _SCATTERED
    assert isinstance(coder, Writer)
    costs = {}
    for way in ways:
        trial = coder.trial()
        _way(trial, way, shape)
        _coded(trial, grid, shape, way)
        costs[way] = trial.cost()
    return min(costs, key=costs.__getitem__)


def _coded(coder: Coder, grid: Grid | None, shape: tuple[int, ...], way: int) -> Grid:
    if way == _EMPTY:
        return np.zeros(shape, dtype=np.bool_)
    if way == _FULL:
        return np.ones(shape, dtype=np.bool_)
    if way == _SCATTERED:
        return _scattered(coder, grid, shape)
    if way == _GROUPS:
        flat = None if grid is None else grid.reshape(-1)
        entries = None if flat is None else groups.best_group(flat, shape)
        return groups.by_groups(coder, flat, math.prod(shape), entries).reshape(shape)
    axis, linked = divmod(way - _MARGINS, 2)
    rows = math.prod(shape[: axis + 1])
    columns = math.prod(shape[axis + 1 :])
    if axis >= len(shape) - 1 or not margins.worthwhile(rows, columns):
        raise ArtifactError(f"a support of shape {shape} cannot be coded by rows and columns of its axis {axis}")
    matrix = None if grid is None else grid.reshape(rows, columns)
    feeding = _feeding(coder, columns) if linked else None
    return margins.by_margins(coder, matrix, rows, columns, feeding).reshape(shape)


def _scattered(coder: Coder, grid: Grid | None, shape: tuple[int, ...]) -> Grid:
    """Each entry on its own, all with the same probability."""
    size = math.prod(shape)
    kept = coder.number(None if grid is None else int(grid.sum()), "kept", size)
    flat = None if grid is None else grid.reshape(-1)
    weights = np.array([size - kept + 0.5, kept + 0.5])
    got = np.empty(size, dtype=np.bool_)
    for start in range(0, size, _BLOCK):
        stop = min(size, start + _BLOCK)
        block: Ints | None = None if flat is None else flat[start:stop].astype(np.int32)
        got[start:stop] = coder.symbols(block, weights, stop - start)
    return got.reshape(shape)


def _feeding(coder: Coder, columns: int) -> Counts | None:
    """For each column, how much is kept of the row that feeds it: of the latest support whose rows divide them."""
    for (_, rows), counts in reversed([item for item in coder.memory.items() if item[0][0] == "rows"]):
        if columns % rows == 0:
            fed: Counts = counts.repeat(columns // rows)
            return fed
    return None
