"""Supports and signed levels of format 2."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeAlias

import hypothesis.extra.numpy as some
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tighten.codecs import positions as module
from tighten.codecs.positions import Levels, entries, positions
from tighten.codecs.stream import Reader, Writer
from tighten.errors import ArtifactError

GRIDS = some.arrays(np.bool_, some.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=7))
BothWays: TypeAlias = Callable[..., tuple[Any, int]]
Bound: TypeAlias = Callable[[np.ndarray], float]
Trip: TypeAlias = Callable[[np.ndarray], tuple[np.ndarray, int]]


@pytest.fixture(scope="module")
def trip(both_ways: BothWays) -> Trip:
    return lambda grid: both_ways(lambda coder, value: positions(coder, value, grid.shape), grid)


@settings(deadline=None)
@given(GRIDS, st.booleans())
def test_any_support_comes_back(trip: Trip, grid: np.ndarray, large: bool) -> None:
    with pytest.MonkeyPatch.context() as patch:
        if large:
            patch.setattr(module, "MOST_CELLS", 0)
        back, _ = trip(grid)
    assert back.shape == grid.shape
    assert np.array_equal(back, grid)


@settings(deadline=None)
@given(st.data(), st.integers(0, 3), st.integers(0, 3), st.booleans())
def test_any_levels_come_back(
    both_ways: BothWays, data: st.DataObject, negative: int, positive: int, zero: bool
) -> None:
    allowed = [v for v in range(-negative, positive + 1) if v != 0 or zero]
    if not allowed:
        return
    shapes = some.array_shapes(min_dims=1, max_dims=4, min_side=1, max_side=6)
    values = data.draw(some.arrays(np.int32, shapes, elements=st.sampled_from(allowed)))
    of = Levels(zero, negative, positive)
    back, _ = both_ways(lambda coder, value: entries(coder, value, values.shape, of), values)
    assert np.array_equal(back, values)


@pytest.mark.parametrize("shape", [(), (0,), (1,), (3, 0, 2), (1, 1, 1, 1), (4, 1), (1, 9)])
@pytest.mark.parametrize("value", [False, True])
def test_constant_supports_cost_next_to_nothing(shape: tuple[int, ...], value: bool, trip: Trip) -> None:
    back, size = trip(np.full(shape, value))
    assert np.array_equal(back, np.full(shape, value))
    assert size <= 1


@pytest.mark.parametrize("seed", range(2))
def test_lenet_at_246x_without_neighbours(seed: int, lenet: Callable[[int], list[np.ndarray]]) -> None:
    writer = Writer()
    for grid in lenet(seed):
        positions(writer, grid, grid.shape)
    # These supports have no neighbours to predict from, unlike trained ones: scattered evenly they take 1,644 bytes.
    assert len(writer.finish()[0]) < 1390


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


def test_neighbours_are_made_use_of(both_ways: BothWays) -> None:
    rng = np.random.default_rng(0)
    smooth = np.cumsum(rng.normal(size=(40, 20, 5, 5)), axis=3)
    values = np.where(smooth > 0, 1, -1).astype(np.int32)
    _, size = both_ways(lambda coder, value: entries(coder, value, values.shape, Levels(False, 1, 1)), values)
    assert size < 0.8 * values.size / 8


def test_rows_that_are_alike_are_learned_from(both_ways: BothWays) -> None:
    rng = np.random.default_rng(0)
    factors = rng.normal(size=(60, 2)) @ rng.normal(size=(2, 100))
    values = np.where(factors + 0.5 * rng.normal(size=factors.shape) > 0, 1, -1).astype(np.int32)
    codec = lambda coder, value: entries(coder, value, values.shape, Levels(False, 1, 1))  # noqa: E731
    back, size = both_ways(codec, values)
    assert np.array_equal(back, values)
    assert size < 0.8 * values.size / 8


def test_too_many_rows_to_compare_are_refused() -> None:
    writer = Writer()
    writer.number(0, "linked", 2)
    writer.number(1, "pace", 3)
    with pytest.raises(ArtifactError, match="rows of a tensor of 4194304 entries are compared"):
        entries(Reader(*writer.finish(), allowance=0), None, (2**20, 4), Levels(True, 1, 1))


def test_two_of_four_costs_what_its_choices_cost(trip: Trip) -> None:
    rng = np.random.default_rng(0)
    grid = rng.random((64, 32, 4)).argsort(axis=2) < 2
    _, size = trip(grid.reshape(64, 128))
    assert size * 8 == pytest.approx(64 * 32 * math.log2(6), rel=0.01)


@pytest.mark.parametrize(("density", "shape"), [(0.01, (300, 700)), (0.5, (150, 350)), (0.02, (700, 800))])
def test_evenly_scattered_supports_are_close_to_the_bound(
    density: float, shape: tuple[int, int], trip: Trip, scattered_bytes: Bound
) -> None:
    grid = np.random.default_rng(0).random(shape) < density
    assert trip(grid)[1] <= scattered_bytes(grid) * 1.05 + 16


@settings(deadline=None, max_examples=300)
@given(st.binary(max_size=60), some.array_shapes(min_dims=0, max_dims=3, max_side=6))
def test_any_bytes_decode_or_are_refused(data: bytes, shape: tuple[int, ...]) -> None:
    try:
        grid = positions(Reader(data, b"", allowance=0), None, shape)
    except (ArtifactError, AssertionError):
        return
    assert grid.shape == shape
