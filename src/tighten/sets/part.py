"""The part of a tensor that a process holds, as far as a set has to know about the rest."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor


class Parts(Protocol):
    """All processes that hold a part of the same tensor; each calls the same methods in the same order."""

    @property
    def device(self) -> torch.device:
        """Where the tensors are that the methods take."""

    def total(self, x: Tensor) -> Tensor:
        """The sum of `x` over the parts, the same bits everywhere."""

    def largest(self, x: Tensor) -> Tensor:
        """The largest of each entry over the parts."""

    def gathered(self, x: Tensor) -> Tensor:
        """The one-dimensional `x` of all parts, one after the other; their lengths may differ."""


@dataclass(frozen=True)
class Part:
    """A box out of a larger tensor.

    Args:
        shape: of the whole tensor.
        start: where the box begins, axis by axis.
        cut: the axes along which there are several parts.
        parts: what is added up over them.
    """

    shape: tuple[int, ...]
    start: tuple[int, ...]
    cut: frozenset[int]
    parts: Parts

    def of_units(self, unit: Sequence[int]) -> Part:
        """The same part counted in units, none of which is cut."""
        shape = tuple(size // u for size, u in zip(self.shape, unit, strict=True))
        start = tuple(first // u for first, u in zip(self.start, unit, strict=True))
        return replace(self, shape=shape, start=start)

    def places(self, index: Tensor, shape: Sequence[int]) -> Tensor:
        """Row-major places in the whole tensor of entries that have the places `index` in a box of this shape."""
        place = torch.zeros_like(index)
        stride = 1
        for size, first, local in zip(self.shape[::-1], self.start[::-1], tuple(shape)[::-1], strict=True):
            place += (index % max(1, local) + first) * stride
            index = index // max(1, local)
            stride *= size
        return place


def total(part: Part | None, x: Tensor) -> Tensor:
    """The sum of `x` over all parts."""
    return x if part is None else part.parts.total(x)


def largest(part: Part | None, x: Tensor) -> Tensor:
    """The largest of each entry over all parts."""
    return x if part is None else part.parts.largest(x)


def gathered(part: Part | None, x: Tensor) -> Tensor:
    """The one-dimensional `x` of all parts, one after the other."""
    return x if part is None else part.parts.gathered(x)


def anywhere(parts: Iterable[Part], fact: bool) -> bool:
    """Whether something is the case in any process that holds one of these parts."""
    for one in dict.fromkeys(part.parts for part in parts):
        fact = bool(one.largest(torch.tensor(int(fact), device=one.device)))
    return fact
