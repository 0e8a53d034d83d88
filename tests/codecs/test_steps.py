"""Tables of levels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from tighten.codecs.steps import steps

BothWays: TypeAlias = Callable[..., tuple[Any, int]]
Trip: TypeAlias = Callable[[Tensor], tuple[Tensor, int]]


@pytest.fixture(scope="module")
def trip(both_ways: BothWays) -> Trip:
    return lambda table: both_ways(lambda coder, value: steps(coder, value, table.dtype, len(table)), table)


def same(a: Tensor, b: Tensor) -> bool:
    return a.dtype == b.dtype and torch.equal(a.view(torch.uint8), b.view(torch.uint8))


@given(
    st.lists(st.floats() | st.integers(-9, 9).map(float) | st.integers(-9, 9).map(lambda k: 2.0**k), max_size=9),
    st.sampled_from([torch.float32, torch.float16, torch.bfloat16, torch.float64]),
)
def test_any_table_comes_back(trip: Trip, values: list[float], of: torch.dtype) -> None:
    table = torch.tensor(values, dtype=torch.float64).to(of)
    assert same(trip(table)[0], table)


@pytest.mark.parametrize(
    ("values", "size"),
    [([-1, 1], 2), ([-4, -3, -2, -1, 1, 2, 3, 4], 4), ([-1, -0.5, -0.25, 0.25, 0.5, 1], 5), ([*range(-128, 128)], 8)],
)
def test_regular_tables_are_short(values: list[float], size: int, trip: Trip) -> None:
    assert trip(torch.tensor(values, dtype=torch.float32))[1] <= size


def test_minus_zero_is_not_zero(trip: Trip) -> None:
    table = torch.tensor([-0.0, 1.0])
    assert same(trip(table)[0], table)


def test_integer_tables_come_back(trip: Trip) -> None:
    table = torch.tensor([-1, 0, 1], dtype=torch.int32)
    assert same(trip(table)[0], table)


def test_subnormal_powers_come_back(trip: Trip) -> None:
    table = torch.tensor([5e-324, 2.0**-1022, 2.0**1023], dtype=torch.float64)
    assert same(trip(table)[0], table)
