"""The size of the real file: as it is planned to become, and codes made to fit into it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TypeAlias

from tighten.allocation import Evidence, lamp
from tighten.allocation.budget import PLAIN_BITS
from tighten.codes import Code, Dense, Sparse, thinned
from tighten.errors import PlanError
from tighten.sets import Set, SupportSet, Uniform
from tighten.sets.top_k import top_k

Measure: TypeAlias = Callable[[Mapping[str, Code], Mapping[str, Set]], int]
"""The bytes of the file that holds the model with these codes and promises."""


def planned_size(measure: Measure, codes: Mapping[str, Code], promises: Mapping[str, Set], value_bits: int) -> int:
    """The bytes of the file once the plain values on supports are quantized as planned.

    Args:
        measure: encodes the file.
        codes: of all sites.
        promises: the sets they are in.
        value_bits: bits of a kept value; 32 leaves values as they are.
    """
    if value_bits == PLAIN_BITS:
        return measure(codes, promises)
    levels = Uniform(bits=value_bits, zero=False)
    codes, promises = dict(codes), dict(promises)
    for name, code in codes.items():
        support = promises[name]
        if isinstance(code, Sparse) and isinstance(code.inner, Dense) and isinstance(support, SupportSet):
            codes[name] = replace(code, inner=levels.fit_entries(code.inner.values))
            promises[name] = support & levels
    return measure(codes, promises)


def awaits_levels(codes: Mapping[str, Code], promises: Mapping[str, Set], value_bits: int) -> bool:
    """Whether some plain values on supports are still to be quantized, as planned."""
    if value_bits == PLAIN_BITS:
        return False
    return any(
        isinstance(code, Sparse) and isinstance(code.inner, Dense) and isinstance(promises[name], SupportSet)
        for name, code in codes.items()
    )


def trimmed(codes: Mapping[str, Code], limit: int, size_of: Callable[[Mapping[str, Code]], int]) -> dict[str, Code]:
    """The codes with just so many entries dropped that the file is within a limit: none, where it is.

    Definition: the entries with the lowest LAMP scores among those of all supports made of single
    entries. The others keep their values bit for bit.

    Cost: two encodings of the file for each doubling of the number dropped.

    Args:
        codes: of all sites.
        limit: in bytes.
        size_of: bytes of the file with these codes.

    Raises:
        PlanError: one entry in each site is still too much.
    """
    if (size := size_of(codes)) <= limit:
        return dict(codes)
    judged = {
        name: Evidence(code.inner.dense())
        for name, code in codes.items()
        if isinstance(code, Sparse) and math.prod(code.unit) == 1 and code.kept
    }
    kept = sum(e.values.numel() for e in judged.values())
    most = kept - len(judged)

    def without(count: int) -> dict[str, Code]:
        return {**codes, **{name: _largest(codes[name], share) for name, share in lamp(judged, kept - count).items()}}

    too_few, enough = 0, min(1, most)
    while (smaller := size_of(without(enough))) > limit:
        if enough == most:
            raise PlanError(
                f"the file has {size} bytes, its budget is {limit}, and with one weight in each pruned site it is "
                f"still {smaller - limit} above it: raise the budget, or constrain more"
            )
        too_few, enough = enough, min(2 * enough, most)
    while enough - too_few > 1:
        middle = (too_few + enough) // 2
        too_few, enough = (too_few, middle) if size_of(without(middle)) <= limit else (middle, enough)
    return without(enough)


def _largest(code: Code, count: int) -> Code:
    """The code with only the `count` largest of its entries, which are as they were."""
    assert isinstance(code, Sparse)
    return thinned(code, top_k(code.inner.dense().double().square(), count))
