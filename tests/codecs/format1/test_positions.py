"""Supports: round trips in every way of coding, and what they cost."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as some

from tighten.codecs.format1 import margins
from tighten.codecs.format1.positions import _coded, positions
from tighten.codecs.format1.stream import Reader, Writer
from tighten.errors import ArtifactError

GRIDS = some.arrays(np.bool_, some.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=7))

BothWays: TypeAlias = Callable[..., tuple[Any, int]]
Bound: TypeAlias = Callable[[np.ndarray], float]
Trip: TypeAlias = Callable[[np.ndarray], tuple[np.ndarray, int]]


@pytest.fixture(scope="module")
def trip(both_ways: BothWays) -> Trip:
    return lambda grid: both_ways(lambda coder, value: positions(coder, value, grid.shape), grid)


@settings(deadline=None)
@given(GRIDS)
def test_any_support_comes_back(trip: Trip, grid: np.ndarray) -> None:
    back, _ = trip(grid)
    assert back.shape == grid.shape
    assert np.array_equal(back, grid)


@settings(deadline=None)
@given(some.arrays(np.bool_, some.array_shapes(min_dims=2, max_dims=3, min_side=2, max_side=6)), st.booleans())
def test_every_way_brings_back_every_support(both_ways: BothWays, grid: np.ndarray, large: bool) -> None:
    steps = 0 if large else margins._MOST_STEPS
    ways = [2, 3] if grid.size % 2 == 0 else [2]
    ways += [4 + 2 * axis for axis in range(grid.ndim - 1) if math.prod(grid.shape[axis + 1 :]) > 1]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(margins, "_MOST_STEPS", steps)
        for way in ways:
            back, _ = both_ways(lambda coder, value, way=way: _coded(coder, value, grid.shape, way), grid)
            assert np.array_equal(back, grid)


@pytest.mark.parametrize("shape", [(), (0,), (1,), (3, 0, 2), (1, 1, 1, 1), (4, 1), (1, 9)])
@pytest.mark.parametrize("value", [False, True])
def test_constant_supports_cost_next_to_nothing(shape: tuple[int, ...], value: bool, trip: Trip) -> None:
    back, size = trip(np.full(shape, value))
    assert np.array_equal(back, np.full(shape, value))
    assert size <= 1


@pytest.mark.parametrize("seed", range(2))
def test_lenet_at_246x_is_below_the_bar(
    seed: int, lenet: Callable[[int], list[np.ndarray]], scattered_bytes: Bound
) -> None:
    grids = lenet(seed)
    writer = Writer()
    for grid in grids:
        positions(writer, grid, grid.shape)
    size = len(writer.finish()[0])
    assert sum(scattered_bytes(grid) for grid in grids) == pytest.approx(1644, abs=1)
    assert size < 1370


def test_a_layer_fed_by_few_rows_is_cheaper(trip: Trip, heavy_tailed: Callable[..., np.ndarray]) -> None:
    rng = np.random.default_rng(0)
    first = heavy_tailed(rng, (500, 800), (86, 268), 611, 1.0)
    rows = first.sum(axis=1)
    second = rng.random((10, 500)) < np.minimum(0.9, rows / rows.mean() * 0.05)
    alone = trip(second)[1]
    writer = Writer()
    positions(writer, first, first.shape)
    before = writer.cost()
    positions(writer, second, second.shape)
    assert (writer.cost() - before) / 8 < 0.8 * alone
    reader = Reader(*writer.finish(), allowance=0)
    assert np.array_equal(positions(reader, None, first.shape), first)
    assert np.array_equal(positions(reader, None, second.shape), second)


def test_two_of_four_costs_what_its_choices_cost(trip: Trip) -> None:
    rng = np.random.default_rng(0)
    grid = rng.random((64, 32, 4)).argsort(axis=2) < 2
    _, size = trip(grid.reshape(64, 128))
    assert size * 8 == pytest.approx(64 * 32 * math.log2(6), rel=0.01)


def test_filters_and_kernels_cost_little(trip: Trip, scattered_bytes: Bound) -> None:
    rng = np.random.default_rng(0)
    kernels = rng.random((64, 32)) < 0.3
    grid = np.repeat(kernels[:, :, None], 9, axis=2).reshape(64, 32, 3, 3)
    assert trip(grid)[1] <= scattered_bytes(kernels) * 1.1 + 8


@pytest.mark.parametrize("density", [0.0001, 0.01, 0.5])
def test_evenly_scattered_supports_are_close_to_the_bound(density: float, trip: Trip, scattered_bytes: Bound) -> None:
    grid = np.random.default_rng(0).random((300, 700)) < density
    assert trip(grid)[1] <= scattered_bytes(grid) * 1.01 + 4


def test_a_large_matrix_with_heavy_rows_beats_scattering(trip: Trip, scattered_bytes: Bound) -> None:
    rng = np.random.default_rng(0)
    rows, columns = (rng.lognormal(0, 1, n) for n in (600, 900))
    chance = np.outer(rows, columns)
    grid = rng.random((600, 900)) < np.minimum(0.9, chance / chance.mean() * 0.02)
    back, size = trip(grid)
    assert np.array_equal(back, grid)
    assert size < 0.9 * scattered_bytes(grid)


def test_row_by_row_is_as_good_as_the_number_of_matrices_allows() -> None:
    # All 0/1 matrices of these sums, counted by brute force: no code can do better on average.
    down, across = (2, 1, 2), (1, 2, 1, 1)
    rows = [np.array(bits) for bits in np.ndindex(2, 2, 2, 2)]
    matrices = [
        np.array([a, b, c], dtype=np.bool_)
        for a in rows
        for b in rows
        for c in rows
        if (a.sum(), b.sum(), c.sum()) == down and tuple(a + b + c) == across
    ]
    bits = []
    for matrix in matrices:
        writer = Writer()
        margins._row_by_row(writer, matrix, np.array(down), np.array(across))
        bits.append(writer.cost())
    assert len(matrices) > 10
    assert np.mean(bits) < math.log2(len(matrices)) + 0.1


def test_sums_that_contradict_each_other_are_refused() -> None:
    writer = Writer()
    for value in (1, 1):
        writer.number(value, ("row", 2), 3)
    for value in (1, 0, 0):
        writer.number(value, ("column", 3), 2)
    with pytest.raises(ArtifactError, match="rows of a support sum to 2, its columns to 1"):
        margins.by_margins(Reader(*writer.finish(), allowance=0), None, 2, 3, None)


@settings(deadline=None, max_examples=300)
@given(st.binary(max_size=60), some.array_shapes(min_dims=0, max_dims=3, max_side=6))
def test_any_bytes_decode_or_are_refused(data: bytes, shape: tuple[int, ...]) -> None:
    try:
        grid = positions(Reader(data, b"", allowance=0), None, shape)
    except (ArtifactError, AssertionError):
        return
    assert grid.shape == shape
