"""Adaptive symbols."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tighten.codecs.adaptive import adaptive, as_symbols

BothWays: TypeAlias = Callable[..., tuple[Any, int]]


@settings(deadline=None)
@given(st.integers(1, 300), st.data())
def test_symbols_come_back(both_ways: BothWays, alphabet: int, data: st.DataObject) -> None:
    values = np.array(data.draw(st.lists(st.integers(0, alphabet - 1), max_size=200)), dtype=np.int32)
    back, _ = both_ways(lambda coder, v: adaptive(coder, v, len(values), np.full(alphabet, 0.5)), values)
    assert np.array_equal(back, values)


@pytest.mark.parametrize("count", [600, 100_000])
def test_cost_is_close_to_the_entropy(count: int, both_ways: BothWays) -> None:
    shares = np.array([40, 25, 15, 8, 5, 4, 2, 1]) / 100
    values = as_symbols(np.random.default_rng(0).choice(8, size=count, p=shares))
    _, size = both_ways(lambda coder, v: adaptive(coder, v, count, np.full(8, 0.5)), values)
    seen = np.bincount(values, minlength=8)
    entropy = float((seen * np.log2(count / seen)).sum()) / 8
    assert entropy < size < entropy + 7 / 2 * np.log2(count) / 8 + 8


def test_what_was_seen_before_serves_what_follows(both_ways: BothWays) -> None:
    values = np.full(100, 3, dtype=np.int32)
    _, fresh = both_ways(lambda coder, v: adaptive(coder, v, 100, np.full(256, 1 / 16)), values)
    taught = np.full(256, 1 / 16)
    taught[3] += 1000
    _, later = both_ways(lambda coder, v: adaptive(coder, v, 100, taught.copy()), values)
    assert later < fresh
