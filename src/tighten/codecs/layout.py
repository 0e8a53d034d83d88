"""How a tensor is looked at by its codec: rows of channels of small pictures, fed by an earlier layer."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from tighten.codecs.cells import HINTS
from tighten.codecs.coder import Coder

MOST_CELLS = 2**19
"""Entries up to which a writer has each predicted on its own."""
FEW_CELLS = 2**22
"""Entries up to which a reader accepts that."""
MOST_COMPARED = 2**30
"""Entries times rows up to which rows are learned from earlier rows."""

Counts = NDArray[np.int64]
Shape4 = tuple[int, int, int, int]


def layout(coder: Coder, shape: tuple[int, ...], linked: bool) -> tuple[Shape4, Counts | None]:
    """Rows, channels, height and width; and, if linked, what is kept of the row that feeds each column.

    A vector is one row, a matrix a row of columns; further axes are pictures. Linked, the columns of a matrix are cut
    into the channels of the latest layer whose number of rows divides them.
    """
    if len(shape) < 2:
        return (math.prod(shape), 1, 1, 1), None
    columns = math.prod(shape[1:])
    fed = _feeding(coder, shape) if linked else None
    if len(shape) == 2:
        channels = 1 if fed is None else len(fed)
        side = columns // channels
        height = 1
        if fed is not None:
            height = next(h for h in range(math.isqrt(side), 0, -1) if side % h == 0) if side else 1
        four = (shape[0], channels, height, side // height)
    else:
        four = (shape[0], shape[1], math.prod(shape[2:-1]), shape[-1])
    return four, None if fed is None else fed.repeat(columns // len(fed))


def linkable(coder: Coder, shape: tuple[int, ...]) -> bool:
    """Whether an earlier layer feeds, or names the rows of, this one."""
    return _feeding(coder, shape) is not None if len(shape) > 1 else ("rows", math.prod(shape)) in coder.memory


def row_hints(coder: Coder, shape: tuple[int, ...], linked: bool) -> Counts:
    """For each row a hint: of a vector, what the latest layer with so many rows keeps of this row."""
    if len(shape) == 1 and linked:
        return hinted(coder.memory["rows", shape[0]])
    return np.zeros(shape[0] if shape else 1, dtype=np.int64)


def remember(coder: Coder, kept: NDArray[np.bool_]) -> None:
    """What is kept of each row, for the layers that come."""
    if kept.ndim > 1 and kept.shape[0] > 1:
        # The latest support comes last, so that it is found first by the layer that it feeds.
        coder.memory.pop(("rows", kept.shape[0]), None)
        coder.memory["rows", kept.shape[0]] = kept.reshape(kept.shape[0], -1).sum(axis=1, dtype=np.int64)


def hinted(counts: Counts) -> Counts:
    """The bits of each count."""
    bits: Counts = np.array([min(int(n).bit_length(), HINTS - 1) for n in counts.tolist()], dtype=np.int64)
    return bits


def _feeding(coder: Coder, shape: tuple[int, ...]) -> Counts | None:
    for (_, rows), counts in reversed([item for item in coder.memory.items() if item[0][0] == "rows"]):
        if (shape[1] % rows == 0) if len(shape) == 2 else (shape[1] == rows):
            fed: Counts = counts
            return fed
    return None
