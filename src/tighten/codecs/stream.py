"""The range-coded stream of formats 2 and 3, in whole numbers (`rangecoder.py`)."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from tighten.codecs import rangecoder
from tighten.codecs.coder import Coder, Floats, Ints, Trying, symbol_type
from tighten.codecs.rangecoder import BITS, ONE, PLACE, WIDTH, Bytes, State
from tighten.errors import ArtifactError

_BYTES_PER_DECISION = 2
_SPARE = 64


class Writer(Trying):
    """The writing side: collects symbols and raw bytes, and books what each part costs."""

    def __init__(self) -> None:
        super().__init__()
        self._state = rangecoder.writing()
        self._data: Bytes = np.zeros(1024, dtype=np.uint8)
        self._raw: list[bytes] = []
        self._raw_size = 0
        self._marks: list[tuple[str, str, float, int]] = []

    def run(self, code: Callable[[State, Bytes], None], decisions: int) -> None:
        """Compiled code that carries the stream on by at most so many decisions."""
        need = int(self._state[PLACE]) + _BYTES_PER_DECISION * decisions + _SPARE
        if need > len(self._data):
            grown = np.zeros(max(need, 2 * len(self._data)), dtype=np.uint8)
            grown[: len(self._data)] = self._data
            self._data = grown
        code(self._state, self._data)

    def symbols(self, values: Ints | None, weights: Floats, count: int) -> Ints:
        assert values is not None
        given: Ints = np.ascontiguousarray(values, dtype=symbol_type(len(weights)))
        ends = _ends(weights)
        self.run(lambda state, data: rangecoder.code_symbols(state, data, given, ends), count)
        return given

    def bits(self, values: Ints | None, p: Floats) -> Ints:
        assert values is not None
        given, chances = np.ascontiguousarray(values, dtype=np.int32), _chances(p)
        self.run(lambda state, data: rangecoder.code_bits(state, data, given, chances), len(given))
        return given

    def raw(self, data: bytes | None, size: int) -> bytes:
        assert data is not None
        self._raw.append(data)
        self._raw_size += size
        return data

    def mark(self, part: str, site: str = "") -> None:
        self._marks.append((part, site, self._coded_bits(), self._raw_size))

    def mark_at(self, part: str, site: str, bits: float) -> None:
        self._marks.append((part, site, bits - 8 * self._raw_size, self._raw_size))

    def trial(self) -> Writer:
        """An empty writer that knows the same statistics: to find out what something would cost."""
        other = Writer()
        other.contexts = dict(self.contexts)
        other.memory = dict(self.memory)
        return other

    def cost(self) -> float:
        """Bits written so far, fractions of the range coder's included."""
        return self._coded_bits() + 8 * self._raw_size

    def finish(self) -> tuple[bytes, bytes]:
        """The range-coded bytes and the raw bytes."""
        return rangecoder.written(self._state, self._data), b"".join(self._raw)

    def booked(self) -> list[tuple[str, str, int]]:
        """Whole bytes of each marked (part, site), in order; together they are all bytes of `finish`.

        A symbol may cost a fraction of a bit, so the range-coded bytes are cut where the marks fall.
        """
        coded = len(rangecoder.written(self._state, self._data))
        booked, before, raw_before = [], 0, 0
        for part, site, bits, raw in self._marks:
            here = coded if bits == self._marks[-1][2] else min(round(bits / 8), coded)
            booked.append((part, site, here - before + raw - raw_before))
            before, raw_before = here, raw
        return booked

    def _coded_bits(self) -> float:
        return 8.0 * int(self._state[PLACE]) + BITS - math.log2(int(self._state[WIDTH]))


class Reader(Coder):
    """The reading side.

    Args:
        coded: the range-coded bytes.
        raw: the raw bytes.
        allowance: how many bytes of tensors may be claimed in all.
        paced: as in format 3.
    """

    def __init__(self, coded: bytes | memoryview, raw: bytes | memoryview, allowance: int, paced: bool = True) -> None:
        super().__init__()
        self.paced = paced
        # Compiled code is made for arrays that can be written; large files come as such, and are not copied.
        given = memoryview(coded)
        self._data: Bytes = np.frombuffer(bytearray(given) if given.readonly else given, dtype=np.uint8)
        self._state = rangecoder.reading(self._data)
        self._raw = memoryview(raw)
        self._allowance = allowance

    def run(self, code: Callable[[State, Bytes], None], decisions: int) -> None:
        """Compiled code that carries the stream on."""
        code(self._state, self._data)

    def symbols(self, values: Ints | None, weights: Floats, count: int) -> Ints:
        got, ends = np.empty(count, dtype=symbol_type(len(weights))), _ends(weights)
        self.run(lambda state, data: rangecoder.code_symbols(state, data, got, ends), count)
        return got

    def bits(self, values: Ints | None, p: Floats) -> Ints:
        got, chances = np.empty(len(p), dtype=np.int32), _chances(p)
        self.run(lambda state, data: rangecoder.code_bits(state, data, got, chances), len(p))
        return got

    def raw(self, data: bytes | None, size: int) -> bytes:
        if size > len(self._raw):
            raise ArtifactError(f"{size} bytes are announced where {len(self._raw)} are left")
        data, self._raw = bytes(self._raw[:size]), self._raw[size:]
        return data

    def mark(self, part: str, site: str = "") -> None:
        """Nothing: costs are booked when writing."""

    def claim(self, size: int) -> None:
        super().claim(size)
        if self.claimed > self._allowance:
            raise ArtifactError(
                f"its header claims {self.claimed} bytes of tensors; a file of this size may hold {self._allowance}"
            )

    def finish(self) -> None:
        """Checks that nothing is left over."""
        if len(self._raw):
            raise ArtifactError(f"{len(self._raw)} bytes are left over at its end")


def _ends(weights: Floats) -> NDArray[np.int64]:
    """Where each symbol's probabilities end, out of 2^16, at least one for each.

    Weights are whole numbers or dyadic fractions, so their sums are exact in any order.
    """
    sums = np.concatenate([[0.0], np.cumsum(weights)])
    ends: NDArray[np.int64] = np.floor(sums / sums[-1] * (ONE - len(weights))).astype(np.int64)
    return ends + np.arange(len(ends))


def _chances(p: Floats) -> NDArray[np.int64]:
    chances: NDArray[np.int64] = np.clip(np.floor(p * ONE), 1, ONE - 1).astype(np.int64)
    return chances
