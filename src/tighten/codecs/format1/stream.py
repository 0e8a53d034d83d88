"""The range-coded stream of format 1, on `constriction`.

Probabilities are made of integers by +, -, *, / in a fixed order, so they are the same on every
machine. New files are of later formats; the writer stays because it is what the reader is tested with.
"""

from __future__ import annotations

import math
from typing import Any

import constriction
import numpy as np

from tighten.codecs.coder import Coder, Floats, Ints, Trying
from tighten.errors import ArtifactError

_model: Any = constriction.stream.model
_queue: Any = constriction.stream.queue
_BERNOULLI = _model.Bernoulli(perfect=False)


class Writer(Trying):
    """The writing side: collects symbols and raw bytes, and books what each part costs."""

    def __init__(self) -> None:
        super().__init__()
        self._coder = _queue.RangeEncoder()
        self._raw: list[bytes] = []
        self._raw_size = 0
        self._marks: list[tuple[str, str, float, int]] = []

    def symbols(self, values: Ints | None, weights: Floats, count: int) -> Ints:
        assert values is not None
        self._coder.encode(values.astype(np.int32, copy=False), _categorical(weights, count))
        return values

    def bits(self, values: Ints | None, p: Floats) -> Ints:
        assert values is not None
        self._coder.encode(values.astype(np.int32, copy=False), _BERNOULLI, p)
        return values

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
        return self._shortest(), b"".join(self._raw)

    def booked(self) -> list[tuple[str, str, int]]:
        """Whole bytes of each marked (part, site), in order; together they are all bytes of `finish`.

        A symbol may cost a fraction of a bit, so the range-coded bytes are cut where the marks fall.
        """
        coded = len(self._shortest())
        booked, before, raw_before = [], 0, 0
        for part, site, bits, raw in self._marks:
            here = coded if bits == self._marks[-1][2] else min(round(bits / 8), coded)
            booked.append((part, site, here - before + raw - raw_before))
            before, raw_before = here, raw
        return booked

    def _coded_bits(self) -> float:
        words, (_, width) = self._coder.pos()
        return float(32 * words + 64 - math.log2(width))

    def _shortest(self) -> bytes:
        """The shortest bytes that, followed by zeros, decode to what was written."""
        words, (lower, width) = self._coder.pos()
        data = self._coder.get_compressed().astype(">u4").tobytes()
        head, tail = data[: 4 * words], data[4 * words :].ljust(8, b"\0")
        now = int.from_bytes(tail, "big")
        # The interval [lower, lower + width) lives on a circle of 2^64; without a carry into the head
        # the last 64 bits may be any number between these two.
        offset = (now - lower) % 2**64
        least, most = max(now - offset, 0), min(now - offset + width - 1, 2**64 - 1)
        for zeros in reversed(range(65)):
            candidate = -(-least >> zeros) << zeros
            if candidate <= most:
                break
        shortest: bytes = (head + candidate.to_bytes(8, "big")).rstrip(b"\0")
        return shortest


class Reader(Coder):
    """The reading side.

    Args:
        coded: the range-coded bytes.
        raw: the raw bytes.
        allowance: how many bytes of tensors may be claimed in all.
    """

    def __init__(self, coded: bytes, raw: bytes, allowance: int) -> None:
        super().__init__()
        padded = coded + bytes(-len(coded) % 4)
        self._coder = _queue.RangeDecoder(np.frombuffer(padded, dtype=">u4").astype(np.uint32))
        self._raw = memoryview(raw)
        self._allowance = allowance

    def symbols(self, values: Ints | None, weights: Floats, count: int) -> Ints:
        got: Ints = self._coder.decode(_categorical(weights, count), count)
        return got

    def bits(self, values: Ints | None, p: Floats) -> Ints:
        got: Ints = self._coder.decode(_BERNOULLI, p)
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


def _categorical(weights: Floats, count: int) -> Any:
    # `lazy` changes the speed only; `perfect=False` is part of the format.
    return _model.Categorical(weights, perfect=False, lazy=count == 1)
