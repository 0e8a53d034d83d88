"""Holding: which entries of a weight must not move, and what they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import assert_never

import torch
from torch import Tensor

from tighten.codes import Code, Dense, Indexed, Sparse

BLOCK = 1 << 16
"""Entries masked in one go: they stay in a processor's cache."""


@dataclass(frozen=True, eq=False)
class Hold:
    """W <- free * W + values.

    Args:
        free: bool tensor, which entries may move; None where none may.
        values: what the others are; None where they are all zero.
    """

    free: Tensor | None
    values: Tensor | None

    @classmethod
    def of(cls, code: Code) -> Hold | None:
        """What keeps a tensor in the form of `code`: its support while values are free, else all of it."""
        match code:
            case Dense():
                return None
            case Sparse(inner=Dense()):
                return cls(code.support, None)
            case Sparse() | Indexed():
                return cls(None, code.dense())
            case _:
                assert_never(code)

    @classmethod
    def all_of(cls, codes: Mapping[str, Code]) -> dict[str, Hold]:
        """The hold of each code that has one."""
        holds = {name: cls.of(code) for name, code in codes.items()}
        return {name: hold for name, hold in holds.items() if hold is not None}

    @classmethod
    def support_of(cls, code: Code) -> Hold | None:
        """What keeps the zeros of `code`."""
        if isinstance(code, Sparse):
            return cls(code.support, None)
        return None


def keep(x: Tensor, mask: Tensor) -> None:
    """`x` made zero outside a bool mask, in place."""
    if x.device.type != "cpu" or not x.ndim:
        x.mul_(mask)
        return
    # A processor multiplies by numbers many times faster than by bools; a mask of numbers would be as large as `x`.
    rows = max(1, BLOCK * len(x) // max(1, x.numel()))
    for part, bits in zip(x.split(rows), mask.view(torch.uint8).split(rows), strict=True):
        part.mul_(bits.to(x.dtype))


@torch.no_grad()
def apply(holds: Mapping[str, Hold], weights: Mapping[str, Tensor]) -> None:
    """Every weight brought back to what is held of it, in place."""
    added, copied = [], []
    for name, hold in holds.items():
        if hold.free is not None:
            keep(weights[name], hold.free)
            if hold.values is not None:
                added.append((weights[name], hold.values))
        elif hold.values is not None:
            copied.append((weights[name], hold.values))
    for operation, pairs in (
        (torch._foreach_add_, added),
        (torch._foreach_copy_, copied),
    ):
        if pairs:
            operation([w for w, _ in pairs], [other for _, other in pairs])
