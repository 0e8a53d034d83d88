"""A 0/1 matrix by the sums of its rows and columns.

First the sums (most of them are zero), then the cells where a used row meets a used column. Small
matrices are coded row by row with the exact chance of each next kept column, given how many the row
still needs and how many each column still needs; large ones with one chance for each pair of sums.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from tighten.codecs.coder import Coder, Floats, Ints
from tighten.errors import ArtifactError

Matrix: TypeAlias = NDArray[np.bool_]
Counts: TypeAlias = NDArray[np.int64]

_MOST_LINES = 2**17
_MOST_STEPS = 2**17
_MOST_WORK = 2**24
_BLOCK = 2**22
_ROUNDS_PER_ROW = 8
_ROUNDS_PER_MATRIX = 24
_UNIT = 2.0**32
_NEVER = 2.0**-600


def worthwhile(rows: int, columns: int) -> bool:
    """Whether a matrix of this shape may be coded by its margins: the sums are coded one at a time."""
    return rows > 1 and columns > 1 and rows + columns <= _MOST_LINES


def by_margins(coder: Coder, matrix: Matrix | None, rows: int, columns: int, feeding: Counts | None) -> Matrix:
    """The matrix; `feeding` is a hint for each column's sum (what is kept of the row that feeds it)."""
    down = None if matrix is None else matrix.sum(axis=1, dtype=np.int64)
    across = None if matrix is None else matrix.sum(axis=0, dtype=np.int64)
    down = _sums(coder, down, [("row", rows)] * rows, columns)
    hints: list[Hashable] = [("column", columns)] * columns
    if feeding is not None:
        hints = [("fed", columns, n.bit_length()) for n in feeding.tolist()]
    across = _sums(coder, across, hints, rows)
    if down.sum() != across.sum():
        raise ArtifactError(f"the rows of a support sum to {down.sum()}, its columns to {across.sum()}")
    cells = np.ix_(down > 0, across > 0)
    used = None if matrix is None else matrix[cells]
    down, across = down[down > 0], across[across > 0]
    steps, work = len(down) * len(across), len(across) * (int(down.sum()) + len(down))
    code = _row_by_row if steps <= _MOST_STEPS and work <= _MOST_WORK else _at_once
    got = np.zeros((rows, columns), dtype=np.bool_)
    got[cells] = code(coder, used, down, across)
    return got


def _sums(coder: Coder, sums: Counts | None, contexts: Sequence[Hashable], limit: int) -> Counts:
    given = None if sums is None else sums.tolist()
    return np.array(
        [coder.number(None if given is None else given[i], context, limit) for i, context in enumerate(contexts)],
        dtype=np.int64,
    )


def _row_by_row(coder: Coder, matrix: Matrix | None, down: Counts, across: Counts) -> Matrix:
    """Each row says where its next kept entry is, until it has as many as its sum."""
    got = np.zeros((len(down), len(across)), dtype=np.bool_)
    open_ = across.copy()
    for row, need in enumerate(down.tolist()):
        chance = _chances(open_, need, len(down) - row)
        ways = _ways(chance, need)
        given = None if matrix is None else np.flatnonzero(matrix[row]).tolist()
        start = 0
        for done in range(need):
            left = need - done
            law = chance[start:] * ways[start + 1 :, left]
            law[1:] *= np.cumprod(1 - chance[start:-1])
            if len(law) == 0:
                raise ArtifactError("a row of a support has more entries than columns")
            # Far below, numbers depend on whether the processor rounds subnormal ones to zero.
            law[law < _NEVER] = 0
            if not law.any():
                law[:] = 1
            column = start + coder.symbol(None if given is None else given[done] - start, law)
            got[row, column] = True
            start = column + 1
        open_ -= got[row]
        if (open_ < 0).any():
            raise ArtifactError("a column of a support has more entries than its sum")
    return got


def _chances(open_: Counts, need: int, rows_left: int) -> Floats:
    """The chance of each column to be kept in this row, if columns were independent; they sum to `need`.

    A column that needs all rows left is sure; the odds of the others are (needs) / (rows left - needs),
    all scaled by one factor.
    """
    sure = open_ >= rows_left
    odds = np.where(sure, 0.0, open_ / np.where(sure, 1, rows_left - open_))
    wanted = need - int(sure.sum())
    factor = 1.0
    for _ in range(_ROUNDS_PER_ROW):
        total = float(np.cumsum(factor * odds / (1 + factor * odds))[-1])
        if total > 0 and wanted > 0:
            factor *= wanted / total
    chance: Floats = np.where(sure, 1.0, factor * odds / (1 + factor * odds))
    return chance


def _ways(chance: Floats, need: int) -> Floats:
    """`[j, n + 1]`: the probability that exactly n of the columns from j on are kept, for n from -1 to `need` - 1."""
    columns = len(chance)
    ways = np.zeros((columns + 1, need + 1))
    ways[columns, 1] = 1
    for j in range(columns - 1, -1, -1):
        ways[j, 1:] = (1 - chance[j]) * ways[j + 1, 1:] + chance[j] * ways[j + 1, :-1]
    return ways


def _at_once(coder: Coder, matrix: Matrix | None, down: Counts, across: Counts) -> Matrix:
    """All cells, each by the chance that belongs to the sums of its row and its column."""
    chance, row_class, column_class = _chance_by_sums(down, across)
    got = np.empty((len(down), len(across)), dtype=np.bool_)
    stride = max(1, _BLOCK // len(across))
    for start in range(0, len(down), stride):
        p = chance[row_class[start : start + stride]][:, column_class].reshape(-1)
        block: Ints | None = None
        if matrix is not None:
            block = matrix[start : start + stride].reshape(-1).astype(np.int32)
        got[start : start + stride] = coder.bits(block, p).reshape(-1, len(across))
    return got


def _chance_by_sums(down: Counts, across: Counts) -> tuple[Floats, NDArray[np.intp], NDArray[np.intp]]:
    """`[distinct row sums, distinct column sums]`: odds a_i * b_j whose expected sums are the given ones.

    Rows of one sum share one factor, so the table is small. Found by adjusting rows and columns in
    turn; each total is taken over whole numbers, whose sum is the same in any order.
    """
    row_sums, row_class, row_many = np.unique(down, return_inverse=True, return_counts=True)
    column_sums, column_class, column_many = np.unique(across, return_inverse=True, return_counts=True)
    a, b = row_sums.astype(np.float64), column_sums / float(down.sum())

    def chance() -> Floats:
        odds: Floats = a[:, None] * b[None, :]
        return odds / (1 + odds)

    for _ in range(_ROUNDS_PER_MATRIX):
        expected = (np.rint(chance() * _UNIT).astype(np.int64) * column_many).sum(axis=1) / _UNIT
        a *= row_sums / np.maximum(expected, 1 / _UNIT)
        expected = (np.rint(chance() * _UNIT).astype(np.int64) * row_many[:, None]).sum(axis=0) / _UNIT
        b *= column_sums / np.maximum(expected, 1 / _UNIT)
    return np.clip(chance(), 2.0**-20, 1 - 2.0**-20), row_class, column_class
