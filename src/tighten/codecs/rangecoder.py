"""A range coder in whole numbers, compiled: the same bytes on every machine.

The interval is `[low, low + width)` on 48 bits; what has been decided leaves it as bytes. Probabilities
have 16 bits. A coder is two arrays, so that compiled code can carry it on: its state and its bytes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numba
import numpy as np
from numpy.typing import NDArray

State: TypeAlias = NDArray[np.int64]
"""`[low or code, width, place in the bytes, writing?]`."""
Bytes: TypeAlias = NDArray[np.uint8]

LOW, WIDTH, PLACE, WRITING = range(4)
PROBABILITY_BITS = 16
ONE = 1 << PROBABILITY_BITS
BITS = 48
_TOP = 1 << BITS
_LEAST = 1 << (BITS - 8)
_MASK = _TOP - 1

Compiled: TypeAlias = Callable[..., Any]


def compiled(function: Compiled) -> Compiled:
    """The function as machine code, kept on disk after its first use."""
    jit: Compiled = numba.njit(cache=True, nogil=True)(function)
    return jit


def inlined(function: Compiled) -> Compiled:
    """`compiled`, and put in place of each call: handing arrays over takes longer than coding a bit."""
    jit: Compiled = numba.njit(cache=True, nogil=True, inline="always")(function)
    return jit


def writing() -> State:
    """The state of a coder that has written nothing."""
    return np.array([0, _TOP, 0, 1], dtype=np.int64)


def reading(data: Bytes) -> State:
    """The state of a coder at the start of its bytes."""
    head = bytes(data[:6]).ljust(6, b"\0")
    return np.array([int.from_bytes(head, "big"), _TOP, 6, 0], dtype=np.int64)


@inlined
def narrow(state: State, data: Bytes, start: int, size: int) -> None:
    """The interval cut to `size` of it from `start` on, both in units of the interval."""
    width = size
    if state[WRITING]:
        low = state[LOW] + start
        place = state[PLACE]
        if low >= _TOP:
            low -= _TOP
            back = place - 1
            while data[back] == 255:
                data[back] = 0
                back -= 1
            data[back] += 1
        while width < _LEAST:
            data[place] = low >> (BITS - 8)
            place += 1
            low = low << 8 & _MASK
            width <<= 8
        state[LOW] = low
        state[PLACE] = place
    else:
        code = state[LOW] - start
        place = state[PLACE]
        while width < _LEAST:
            code <<= 8
            if place < len(data):
                code |= data[place]
            place += 1
            width <<= 8
        state[LOW] = code
        state[PLACE] = place
    state[WIDTH] = width


@inlined
def code_bit(state: State, data: Bytes, bit: int, p: int) -> int:
    """A bit that is 1 with probability `p / 2**16`; `bit` counts when writing only."""
    width = state[WIDTH]
    ones = (width >> PROBABILITY_BITS) * p
    if not state[WRITING]:
        bit = 1 if state[LOW] < ones else 0
    if bit:
        narrow(state, data, 0, ones)
    else:
        narrow(state, data, ones, width - ones)
    return bit


@compiled
def code_bits(state: State, data: Bytes, bits: NDArray[np.int32], p: NDArray[np.int64]) -> None:
    """Independent bits, each with its own probability."""
    for i in range(len(bits)):
        bits[i] = code_bit(state, data, bits[i], p[i])


@compiled
def code_symbols(state: State, data: Bytes, symbols: NDArray[Any], ends: NDArray[np.int64]) -> None:
    """Independent symbols: symbol s has the probabilities from `ends[s]` to `ends[s + 1]`, out of 2^16."""
    find = symbols[:0].copy()
    if not state[WRITING] and len(symbols) >= 1 << 12:
        find = np.empty(1 << PROBABILITY_BITS, dtype=symbols.dtype)
        for s in range(len(ends) - 1):
            find[ends[s] : ends[s + 1]] = s
    for i in range(len(symbols)):
        unit = state[WIDTH] >> PROBABILITY_BITS
        if state[WRITING]:
            s = symbols[i]
        else:
            at = min(state[LOW] // unit, (1 << PROBABILITY_BITS) - 1)
            s = find[at] if len(find) else np.searchsorted(ends, at, side="right") - 1
            symbols[i] = s
        size = (ends[s + 1] - ends[s]) * unit
        if s == len(ends) - 2:
            size = state[WIDTH] - ends[s] * unit
        narrow(state, data, ends[s] * unit, size)


def written(state: State, data: Bytes) -> bytes:
    """The shortest bytes that, followed by zeros, are read as what was written."""
    low, width, place = (int(state[i]) for i in (LOW, WIDTH, PLACE))
    head = data[:place].tobytes()
    for zeros in reversed(range(BITS + 1)):
        shortest = -(-low >> zeros) << zeros
        if shortest < low + width:
            break
    if shortest == _TOP:  # a carry: never out of the first byte, as all lies below the first interval's end
        head = head.rstrip(b"\xff")
        return head[:-1] + bytes([head[-1] + 1])
    return (head + shortest.to_bytes(BITS // 8, "big")).rstrip(b"\0")
