"""The support of a large matrix: how much each row keeps, and the gaps between kept entries.

A number n goes as the size of n + 1 in bits, in unary, then its two bits after the first, all with probabilities that
adapt; further bits are as they are. Rows are predicted by the row before, gaps by their mean in the rest of the row.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tighten.codecs.coder import Coder
from tighten.codecs.rangecoder import ONE, Bytes, State, code_bit, compiled
from tighten.errors import ArtifactError

_SIZES = 48
_CONTEXTS = 160
_RATE = 6
_CHUNK = 1 << 18
_BITS_PER_NUMBER = 80


def gaps(coder: Coder, matrix: NDArray[np.bool_] | None, rows: int, columns: int) -> NDArray[np.bool_]:
    """The matrix, a run of rows at a time."""
    got = np.zeros((rows, columns), dtype=np.bool_)
    chances = np.full((_CONTEXTS, _SIZES + 4 * _SIZES), ONE // 2, dtype=np.int64)
    memory = np.zeros(2, dtype=np.int64)
    step = max(1, _CHUNK // max(columns, 1))
    for start in range(0, rows, step):
        stop = min(rows, start + step)
        counts = np.zeros(stop - start, dtype=np.int64)
        places = np.zeros(0, dtype=np.int64)
        if matrix is not None:
            part = matrix[start:stop]
            counts = part.sum(axis=1, dtype=np.int64)
            places = np.nonzero(part)[1]
        numbers = len(places) + len(counts)
        run = partial(_rows, counts=counts, places=places, got=got[start:stop], chances=chances, memory=memory)
        coder.run(lambda state, data, run=run: run(state, data), numbers * _BITS_PER_NUMBER)  # type: ignore[misc]
        if memory[1]:
            raise ArtifactError("a row of a support keeps more entries than it has")
    return got


def _rows(state: State, data: Bytes, counts: Any, places: Any, got: Any, chances: Any, memory: Any) -> None:
    _code_rows(state, data, counts, places, got, chances, memory)


@compiled
def _number(state: Any, data: Any, value: int, context: int, chances: Any) -> int:
    size = 0
    wanted = value + 1
    while size < 47:
        p = chances[context, size]
        bit = code_bit(state, data, 1 if (wanted >> (size + 1)) > 0 else 0, p)
        chances[context, size] = min(max(p + (((bit << 16) - p) >> 6), 32), 65504)
        if not bit:
            break
        size += 1
    got = 1
    for k in range(size):
        place = size - 1 - k
        if k < 2:
            at = 48 + 4 * size + got if k == 0 else 48 + 4 * size + (got & 1) + 2
            p = chances[context, at]
            bit = code_bit(state, data, (wanted >> place) & 1, p)
            chances[context, at] = min(max(p + (((bit << 16) - p) >> 6), 32), 65504)
        else:
            bit = code_bit(state, data, (wanted >> place) & 1, 32768)
        got = 2 * got + bit
    return got - 1


@compiled
def _code_rows(state: Any, data: Any, counts: Any, places: Any, got: Any, chances: Any, memory: Any) -> None:
    columns = got.shape[1]
    at = 0
    for row in range(len(counts)):
        context = 0
        before = memory[0]
        while before:
            before >>= 1
            context += 1
        need = _number(state, data, counts[row], 100 + context, chances)
        memory[0] = need
        if need > columns:
            memory[1] = 1
            return
        start = 0
        while need:
            mean = 8 * (columns - start) // need
            size = 0
            while mean >> (size + 2):
                size += 1
            context = min(2 * size + (mean >> max(size - 1, 0) & 1 if size else 0), 99)
            gap = places[at] - start if state[3] else 0
            gap = _number(state, data, gap, context, chances)
            start += gap
            if start > columns - need:
                memory[1] = 1
                return
            got[row, start] = True
            start += 1
            need -= 1
            at += 1
