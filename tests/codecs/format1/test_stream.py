"""The range-coded stream of format 1."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tighten.codecs.coder import Coder
from tighten.codecs.format1.stream import Reader, Writer
from tighten.errors import ArtifactError


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 2**40))))
def test_numbers_come_back(numbers: list[tuple[str, int]]) -> None:
    writer = Writer()
    for context, value in numbers:
        writer.number(value, context)
    reader = Reader(*writer.finish(), allowance=0)
    assert [reader.number(None, context) for context, _ in numbers] == [value for _, value in numbers]


@given(st.lists(st.tuples(st.lists(st.integers(1, 1000), min_size=1, max_size=5), st.integers(0, 4)), max_size=60))
def test_every_ending_is_cut_to_its_shortest_bytes(draws: list[tuple[list[int], int]]) -> None:
    writer = Writer()
    symbols = [(np.array(weights, dtype=np.float64), value % len(weights)) for weights, value in draws]
    for weights, value in symbols:
        writer.symbol(value, weights)
    coded, _ = writer.finish()
    reader = Reader(coded, b"", allowance=0)
    assert [reader.symbol(None, weights) for weights, _ in symbols] == [value for _, value in symbols]
    bits = sum(math.log2(weights.sum() / weights[value]) for weights, value in symbols)
    assert len(coded) <= bits / 8 + 2


def test_nothing_written_takes_no_bytes() -> None:
    assert Writer().finish() == (b"", b"")


def test_a_number_costs_what_its_context_has_seen() -> None:
    writer = Writer()
    for _ in range(1000):
        writer.number(7, "always seven")
    # Each of seven bits of the code is learned from nothing: about log2(1000) bits each.
    assert len(writer.finish()[0]) < 10


def test_a_number_that_cannot_be_written_is_refused() -> None:
    with pytest.raises(ArtifactError, match="at most 11 makes sense"):
        Writer().number(12, "size", 11)


@given(st.integers(0, 70), st.data())
def test_limits_do_not_stand_in_the_way(limit: int, data: st.DataObject) -> None:
    value = data.draw(st.integers(0, limit))
    writer = Writer()
    writer.number(value, "n", limit)
    assert Reader(*writer.finish(), allowance=0).number(None, "n", limit) == value


def test_a_number_above_its_limit_is_refused() -> None:
    writer = Writer()
    writer.number(12, "size", 14)
    with pytest.raises(ArtifactError, match="is 12 where at most 11 makes sense"):
        Reader(*writer.finish(), allowance=0).number(None, "size", 11)


def test_a_trial_changes_nothing() -> None:
    writer = Writer()
    writer.number(5, "n")
    before = dict(writer.contexts)
    trial = writer.trial()
    for _ in range(50):
        trial.number(5, "n")
    assert 10 < trial.cost() < 50 * math.log2(2 * 5)
    assert writer.contexts == before
    assert len(writer.finish()[0]) <= 2


@given(st.lists(st.tuples(st.sampled_from(["header", "values"]), st.integers(0, 40), st.integers(0, 3)), max_size=8))
def test_booked_bytes_sum_to_all_bytes(parts: list[tuple[str, int, int]]) -> None:
    writer = Writer()
    for part, numbers, raw in parts:
        for value in range(numbers):
            writer.number(value, part)
        writer.raw(bytes(raw), raw)
        writer.mark(part)
    coded, raw_bytes = writer.finish()
    booked = writer.booked()
    assert [part for part, _, _ in booked] == [part for part, _, _ in parts]
    assert sum(size for _, _, size in booked) == len(coded) + len(raw_bytes)
    assert all(size >= 0 for _, _, size in booked)


def test_booked_bytes_are_those_of_the_part() -> None:
    writer = Writer()
    rng = np.random.default_rng(0)
    for part, size in (("a", 100), ("b", 3000), ("c", 20)):
        writer.symbols(rng.integers(0, 256, size).astype(np.int32), np.ones(256), size)
        writer.mark(part)
    assert [size for _, _, size in writer.booked()] in ([100, 3000, 20], [100, 3000, 21])


def test_raw_bytes_are_checked() -> None:
    reader = Reader(b"", b"abc", allowance=0)
    assert reader.raw(None, 2) == b"ab"
    with pytest.raises(ArtifactError, match="1 bytes are left over"):
        reader.finish()
    with pytest.raises(ArtifactError, match="5 bytes are announced where 1 are left"):
        reader.raw(None, 5)


def test_claims_are_added_up() -> None:
    reader: Coder = Reader(b"", b"", allowance=100)
    reader.claim(60)
    with pytest.raises(ArtifactError, match="120 bytes of tensors; a file of this size may hold 100"):
        reader.claim(60)
