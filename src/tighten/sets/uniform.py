"""Levels at equal distances."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from tighten.errors import SetError
from tighten.sets.checks import flag, number, whole
from tighten.sets.part import Part
from tighten.sets.scale import exact_scale
from tighten.sets.scaled import ScaledLevels


@dataclass(frozen=True, repr=False)
class Uniform(ScaledLevels):
    """Tensors whose entries are whole multiples of an interval q.

    Definition: with zero, q * {-m, ..., 0, ..., m} with m = 2^(bits-1) - 1; without, q * {+-1, ..., +-m} with
    m = 2^(bits-1), for pruned networks, where zeros are kept apart by the support.
    Projection: exact.
    Shape: any; two axes or more with `per_channel`.
    Cost: a sort of the entries, and searches in them.
    Source: Ye et al., arXiv 1903.09769; Leng et al., arXiv 1707.09870.

    Args:
        bits: 1 to 8, with zero 2 to 8.
        interval: q; fitted where it is not given.
        zero: whether zero is a level.
        per_channel: one q for each output (axis 0).
    """

    bits: int
    interval: float | None = None
    zero: bool = True
    per_channel: bool = False

    def __post_init__(self) -> None:
        flag(self, "zero", self.zero)
        flag(self, "per_channel", self.per_channel)
        whole(self, "bits", self.bits, 2 if self.zero else 1, 8)
        if self.interval is not None:
            number(self, "interval", self.interval)
            if self.interval <= 0:
                raise SetError(f"interval={self.interval!r} in {self!r}: give a positive distance between levels")
            if self.per_channel:
                raise SetError(f"{self!r} has one given interval and one per channel: give one of the two")

    @property
    def magnitudes(self) -> tuple[float, ...]:
        most = 2 ** (self.bits - 1)
        return tuple(float(step) for step in (range(most) if self.zero else range(1, most + 1)))

    @property
    def given(self) -> bool:
        return self.interval is not None

    def best_scale(self, sizes: Tensor, steps: Tensor, largest: float, part: Part | None = None) -> float:
        if self.interval is not None:
            return self.interval
        return exact_scale(sizes, steps, part)

    def table_violations(self, steps: Sequence[float], scale: Tensor) -> list[str]:
        wrong = super().table_violations(steps, scale)
        if self.interval is not None and not bool((scale == scale.new_tensor(self.interval)).all()):
            wrong.append(f"interval {float(scale[0])}, not {self.interval}")
        return wrong
