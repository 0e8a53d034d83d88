"""A range-coded stream of numbers, read and written by the same code.

Every codec is one function that works in both directions: with a `Writer` it is given what to
write and gets it back; with a `Reader` it is given None and gets what was written. So the two
directions cannot drift apart.

Probabilities are made of integers by +, -, *, / in a fixed order, so they are the same on every
machine.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Hashable
from typing import Any, TypeAlias

import constriction
import numpy as np
from numpy.typing import NDArray

from tighten.errors import ArtifactError

Ints: TypeAlias = NDArray[np.int32]
Floats: TypeAlias = NDArray[np.float64]

_model: Any = constriction.stream.model
_queue: Any = constriction.stream.queue
_BERNOULLI = _model.Bernoulli(perfect=False)


class Coder(ABC):
    """What `Writer` and `Reader` share: adaptive numbers, built on the abstract primitives.

    A context names what a number is about. Its statistics are learned while coding, in the same way
    on both sides, so no table of frequencies is ever stored.
    """

    def __init__(self) -> None:
        self.contexts: dict[Hashable, tuple[int, int]] = {}
        self.memory: dict[tuple[str, Any], NDArray[Any]] = {}
        self.claimed = 0

    @abstractmethod
    def symbols(self, values: Ints | None, weights: Floats, count: int) -> Ints:
        """`count` independent symbols in `[0, len(weights))`, drawn by `weights`; at least two weights."""

    @abstractmethod
    def bits(self, values: Ints | None, p: Floats) -> Ints:
        """One bit for each entry of `p`, the probability that the bit is 1."""

    @abstractmethod
    def raw(self, data: bytes | None, size: int) -> bytes:
        """`size` bytes as they are, kept apart from the range-coded part."""

    @abstractmethod
    def mark(self, part: str, site: str = "") -> None:
        """Books what was coded since the last mark as this part of this site."""

    def claim(self, size: int) -> None:
        """Announces that `size` bytes of tensors are about to be allocated."""
        self.claimed += size

    def symbol(self, value: int | None, weights: Floats) -> int:
        """One symbol, drawn by `weights`; free where there is no choice."""
        if len(weights) == 1:
            return 0
        values = None if value is None else np.array([value], dtype=np.int32)
        return int(self.symbols(values, weights, 1)[0])

    def bit(self, value: bool | None, context: Hashable) -> bool:
        """One bit, by the zeros and ones that this context has seen."""
        zeros, ones = self.contexts.get(context, (0, 0))
        got = self.symbol(None if value is None else int(value), np.array([zeros + 1.0, ones + 1.0]))
        self.contexts[context] = (zeros + 1 - got, ones + got)
        return bool(got)

    def number(self, value: int | None, context: Hashable, limit: int = 2**40) -> int:
        """A number in `[0, limit]`; small ones, and ones often seen in this context, are cheap.

        Its size class (how many bits `value + 1` has) is coded in unary, then the bits below the first.

        Raises:
            ArtifactError: it is larger than `limit`.
        """
        target = None if value is None else value + 1
        largest_size = (limit + 1).bit_length() - 1
        size = 0
        while size < largest_size:
            if not self.bit(None if target is None else size + 1 < target.bit_length(), (context, size)):
                break
            size += 1
        got = 1
        for place in reversed(range(size)):
            digit = None if target is None else bool(target >> place & 1)
            # The leading digits together tell what is common; further down only their place matters.
            got = 2 * got + self.bit(digit, (context, size, got if got < 16 else -place))
        if got - 1 > limit:
            raise ArtifactError(f"a number in it is {got - 1} where at most {limit} makes sense")
        return got - 1


class Writer(Coder):
    """The writing side: collects symbols and raw bytes, and books what each part costs."""

    def __init__(self) -> None:
        super().__init__()
        self._coder = _queue.RangeEncoder()
        self._raw: list[bytes] = []
        self._raw_size = 0
        self._marks: list[tuple[str, str, float, int]] = []

    def symbols(self, values: Ints | None, weights: Floats, count: int) -> Ints:
        assert values is not None
        self._coder.encode(values, _categorical(weights, count))
        return values

    def bits(self, values: Ints | None, p: Floats) -> Ints:
        assert values is not None
        self._coder.encode(values, _BERNOULLI, p)
        return values

    def raw(self, data: bytes | None, size: int) -> bytes:
        assert data is not None
        self._raw.append(data)
        self._raw_size += size
        return data

    def mark(self, part: str, site: str = "") -> None:
        self._marks.append((part, site, self._coded_bits(), self._raw_size))

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
