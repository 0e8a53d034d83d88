"""What codecs are written for: a stream of numbers, read and written by the same code.

Every codec is one function that works in both directions: with a writer it is given what to
write and gets it back; with a reader it is given None and gets what was written. So the two
directions cannot drift apart.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable
from typing import Any, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from tighten.errors import ArtifactError

Ints: TypeAlias = NDArray[np.int32 | np.uint8]
Floats: TypeAlias = NDArray[np.float64]


def symbol_type(alphabet: int) -> type[np.uint8 | np.int32]:
    """The smallest type for symbols of an alphabet of this size: large tensors are held in it."""
    return np.uint8 if alphabet <= 256 else np.int32


class Coder(ABC):
    """What writers and readers share: adaptive numbers, built on the abstract primitives.

    A context names what a number is about. Its statistics are learned while coding, in the same way
    on both sides, so no table of frequencies is ever stored.
    """

    paced = True
    """Whether tensors of levels say how quickly rows are learned from earlier rows: from format 3 on."""

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

    def run(self, code: Callable[[Any, Any], None], decisions: int) -> None:
        """Compiled code that carries the stream on by at most so many decisions (from format 2 on)."""
        raise NotImplementedError

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


class Trying(Coder):
    """A coder that writes, and can find out what something would cost."""

    @abstractmethod
    def trial(self) -> Self:
        """An empty writer that knows the same statistics."""

    @abstractmethod
    def cost(self) -> float:
        """Bits written so far, fractions included."""

    @abstractmethod
    def mark_at(self, part: str, site: str, bits: float) -> None:
        """Books what was coded since the last mark, up to so many bits of `cost`, as this part of this site."""
