"""What the tests of codecs share: a round trip, and supports as training leaves them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import pytest
from numpy.typing import NDArray

from tighten.codecs.coder import Coder
from tighten.codecs.stream import Reader, Writer

Grid: TypeAlias = NDArray[np.bool_]
BothWays: TypeAlias = Callable[[Callable[[Coder, Any], Any], Any], tuple[Any, int]]

LENET = (
    # shape, kept entries, used rows, used columns, spread of their weights
    ((20, 1, 5, 5), 159, 20, 25, 0.5),
    ((50, 20, 5, 5), 667, 37, 247, 0.7),
    ((500, 800), 611, 86, 268, 1.0),
    ((10, 500), 313, 10, 137, 0.5),
)


def _both_ways(codec: Callable[[Coder, Any], Any], value: Any) -> tuple[Any, int]:
    writer = Writer()
    codec(writer, value)
    coded, raw = writer.finish()
    reader = Reader(coded, raw, allowance=2**40)
    back = codec(reader, None)
    reader.finish()
    assert reader.contexts == writer.contexts
    return back, len(coded) + len(raw)


def _heavy_tailed(
    rng: np.random.Generator, shape: tuple[int, int], used: tuple[int, int], kept: int, spread: float
) -> Grid:
    of_rows, of_columns = (rng.lognormal(0, spread, n) for n in used)
    grid = np.zeros(used, dtype=np.bool_)
    # One entry in each used row and column first, so that none stays empty.
    more = max(used) - np.array(used)
    rows = np.concatenate([rng.permutation(used[0]), rng.choice(used[0], more[0], p=of_rows / of_rows.sum())])
    columns = np.concatenate([rng.permutation(used[1]), rng.choice(used[1], more[1], p=of_columns / of_columns.sum())])
    grid[rows, rng.permutation(columns)] = True
    while grid.sum() < kept:
        i = rng.choice(used[0], p=of_rows / of_rows.sum())
        j = rng.choice(used[1], p=of_columns / of_columns.sum())
        grid[i, j] = True
    matrix = np.zeros(shape, dtype=np.bool_)
    matrix[np.ix_(*(rng.choice(n, k, replace=False) for n, k in zip(shape, used, strict=True)))] = grid
    return matrix


def _lenet(seed: int) -> list[Grid]:
    rng = np.random.default_rng(seed)
    return [
        _heavy_tailed(rng, (shape[0], math.prod(shape[1:])), (rows, columns), kept, spread).reshape(shape)
        for shape, kept, rows, columns, spread in LENET
    ]


def _scattered_bytes(grid: Grid) -> float:
    return math.log2(math.comb(grid.size, int(grid.sum()))) / 8


@pytest.fixture(scope="session")
def both_ways() -> BothWays:
    """What a codec writes, read back, and in how many bytes it was."""
    return _both_ways


@pytest.fixture(scope="session")
def heavy_tailed() -> Callable[..., Grid]:
    """A matrix with exactly so many kept entries in exactly so many rows and columns, by log-normal weights."""
    return _heavy_tailed


@pytest.fixture(scope="session")
def lenet() -> Callable[[int], list[Grid]]:
    """The four supports of a LeNet-5 with 1,750 kept weights, by seed."""
    return _lenet


@pytest.fixture(scope="session")
def scattered_bytes() -> Callable[[Grid], float]:
    """What no code can beat on average for entries scattered evenly: log2 of all choices."""
    return _scattered_bytes
