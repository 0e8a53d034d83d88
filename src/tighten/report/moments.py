"""What the weights were like at the start and after each stage, kept small for pictures."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

BINS = 61
"""Odd, so that the middle bin holds what is nearest to zero."""


@dataclass(frozen=True)
class Spread:
    """How the entries of a tensor that are not zero are spread.

    Args:
        reach: the largest magnitude; the bins divide -reach to +reach evenly.
        counts: entries in each bin.
        zeros: entries that are exactly zero, in no bin.
    """

    reach: float
    counts: tuple[int, ...]
    zeros: int

    @classmethod
    def of(cls, x: Tensor) -> Spread:
        """The spread of a tensor with finite entries."""
        flat = x.detach().reshape(-1).float()
        kept = flat[flat != 0].cpu()
        reach = float(kept.abs().max()) if len(kept) else 0.0
        # An empty range would mean "from the smallest to the largest" to histc.
        counts = torch.histc(kept, BINS, -reach, reach) if reach else torch.zeros(BINS)
        return cls(reach, tuple(int(count) for count in counts), len(flat) - len(kept))


@dataclass(frozen=True)
class Moment:
    """A network at the start of a run, or after one of its stages.

    Args:
        name: of the stage; "dense" or "start" before the first one.
        accuracy: on validation data, in percent.
        weights: entries of the sites of two or more axes.
        kept: those of them that are not zero.
        bytes: of the `.tight` file that could be written then; None where the stage left weights outside their sets.
        spreads: of each site.
    """

    name: str
    accuracy: float
    weights: int
    kept: int
    bytes: int | None
    spreads: dict[str, Spread]

    @classmethod
    def of(cls, name: str, accuracy: float, size: int | None, tensors: Mapping[str, Tensor]) -> Moment:
        """The moment at which the sites have these tensors."""
        large = [t.detach() for t in tensors.values() if t.ndim >= 2]
        return cls(
            name=name,
            accuracy=accuracy,
            weights=sum(t.numel() for t in large),
            kept=sum(int((t != 0).sum()) for t in large),
            bytes=size,
            spreads={site: Spread.of(t) for site, t in tensors.items()},
        )

    def to_data(self) -> dict[str, Any]:
        """The moment as JSON-able data."""
        return asdict(self)


def thinned(moments: Sequence[Moment], most: int) -> list[int]:
    """The places of at most `most` moments, evenly spaced; the first and the last are always among them."""
    if len(moments) <= most:
        return list(range(len(moments)))
    return sorted({math.floor(i * (len(moments) - 1) / (most - 1) + 0.5) for i in range(most)})
