"""Symbols of a small alphabet, coded by the frequencies seen so far."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tighten.codecs.coder import Coder, Ints, symbol_type
from tighten.codecs.rangecoder import compiled


def adaptive(coder: Coder, values: Ints | None, count: int, seen: NDArray[np.float64]) -> Ints:
    """`count` symbols in `[0, len(seen))`.

    Definition: symbols go in blocks, each one an eighth of all symbols before it; a block is coded by
    the frequencies at its start. That costs a few bytes more than the entropy, needs no table in the
    file, and is fast for millions of symbols.

    Args:
        seen: prior weight of each symbol, positive; changed in place to prior and frequencies.
    """
    if len(seen) == 1:
        return np.zeros(count, dtype=np.uint8)
    got: Ints = np.empty(count, dtype=symbol_type(len(seen))) if values is None else values
    start = 0
    while start < count:
        stop = min(count, start + max(1, int(seen.sum()) // 8))
        block = coder.symbols(None if values is None else values[start:stop], seen, stop - start)
        if values is None:
            got[start:stop] = block
        _count(got[start:stop], seen)
        start = stop
    return got


@compiled
def _count(symbols: Any, seen: Any) -> None:
    for symbol in symbols:
        seen[symbol] += 1


def as_symbols(values: NDArray[Any]) -> Ints:
    """The same numbers, as the coder takes them."""
    symbols: Ints = np.ascontiguousarray(values, dtype=np.uint8 if values.dtype.itemsize == 1 else np.int32)
    return symbols
