"""The range coder."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tighten.codecs import rangecoder


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 1), st.sampled_from([1, 2, 100, 2**15, 2**16 - 1]))))
def test_bits_come_back(draws: list[tuple[int, int]]) -> None:
    bits = np.array([bit for bit, _ in draws], dtype=np.int32)
    p = np.array([chance for _, chance in draws], dtype=np.int64)
    state, data = rangecoder.writing(), np.zeros(2 * len(draws) + 64, dtype=np.uint8)
    rangecoder.code_bits(state, data, bits, p)
    coded = rangecoder.written(state, data)
    ideal = float(np.sum(np.log2(2**16 / np.where(bits == 1, p, 2**16 - p))))
    assert len(coded) <= ideal / 8 + 1.01
    back = np.empty(len(draws), dtype=np.int32)
    copy = np.frombuffer(bytearray(coded), dtype=np.uint8)
    rangecoder.code_bits(rangecoder.reading(copy), copy, back, p)
    assert np.array_equal(back, bits)


def test_carries_run_through_bytes_of_ones() -> None:
    # The upper end of the interval, again and again, and then above it.
    bits = np.array([0] * 40 + [1] * 3 + [0] * 400, dtype=np.int32)
    p = np.array([2**16 - 1] * 40 + [1] * 3 + [2**15] * 400, dtype=np.int64)
    state, data = rangecoder.writing(), np.zeros(2000, dtype=np.uint8)
    rangecoder.code_bits(state, data, bits, p)
    copy = np.frombuffer(bytearray(rangecoder.written(state, data)), dtype=np.uint8)
    back = np.empty_like(bits)
    rangecoder.code_bits(rangecoder.reading(copy), copy, back, p)
    assert np.array_equal(back, bits)


@settings(deadline=None)
@given(st.binary(max_size=5), st.integers(0, 4), st.integers(0, 2**48 - 1), st.integers(2**40, 2**48))
def test_the_shortest_bytes_of_the_interval_are_written(head: bytes, ones: int, low: int, width: int) -> None:
    head = b"\x01" + head + b"\xff" * ones
    state = np.array([low, width, len(head), 1], dtype=np.int64)
    coded = rangecoder.written(state, np.frombuffer(head + bytes(8), dtype=np.uint8))
    size = len(head) + 6
    least = int.from_bytes(head, "big") * 2**48 + low
    assert least <= int.from_bytes(coded.ljust(size, b"\0"), "big") < least + width
    unit = 256 ** (size - len(coded) + 1)
    assert -(-least // unit) * unit >= least + width
