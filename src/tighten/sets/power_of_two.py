"""Levels that are powers of two."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from tighten.errors import SetError
from tighten.sets.checks import flag, whole
from tighten.sets.part import Part, total
from tighten.sets.scale import scale_limits, sums_at
from tighten.sets.scaled import ScaledLevels


@dataclass(frozen=True, repr=False)
class PowerOfTwo(ScaledLevels):
    """Tensors whose entries are +-2^k, with k in a window of consecutive exponents.

    Definition: +-2^k for top - w < k <= top; with zero, 0 besides and w = 2^(bits-1) - 1; without, w = 2^(bits-1).
    Projection: exact; every top that can be best is tried. Nearest in value, not in exponent.
    Shape: any; two axes or more with `per_channel`.
    Cost: a sort.
    Source: Zhou et al., "Incremental Network Quantization", arXiv 1702.03044, section 2.1; Ye et al.,
    arXiv 1903.09769.

    Args:
        bits: 1 to 8, with zero 2 to 8.
        top: the largest exponent; fitted where it is not given.
        zero: whether zero is a level.
        per_channel: one top for each output (axis 0).
    """

    bits: int
    top: int | None = None
    zero: bool = True
    per_channel: bool = False

    def __post_init__(self) -> None:
        flag(self, "zero", self.zero)
        flag(self, "per_channel", self.per_channel)
        whole(self, "bits", self.bits, 2 if self.zero else 1, 8)
        if self.top is not None:
            whole(self, "top", self.top, -126, 127)
            if self.per_channel:
                raise SetError(f"{self!r} has one given top and one per channel: give one of the two")

    @property
    def magnitudes(self) -> tuple[float, ...]:
        width = 2 ** (self.bits - 1) - (1 if self.zero else 0)
        powers = tuple(2.0**k for k in range(1 - width, 1))
        return (0.0, *powers) if self.zero else powers

    @property
    def given(self) -> bool:
        return self.top is not None

    @property
    def scalable(self) -> bool:
        return False

    def best_scale(self, sizes: Tensor, steps: Tensor, largest: float, part: Part | None = None) -> float:
        if self.top is not None:
            return 2.0**self.top
        low, high = scale_limits(sizes, steps, part)
        if high == 0:
            return 0.0
        # The limits hold for free scales; a power of two within a factor of two of the best lies this near to them.
        first, last = math.floor(math.log2(low)) - 1, math.ceil(math.log2(high))
        last = min(last, math.floor(math.log2(largest)))
        q = torch.tensor([2.0**k for k in range(min(first, last), last + 1)], dtype=sizes.dtype, device=sizes.device)
        a, b = total(part, torch.stack(sums_at(sizes, steps, q)))
        return float(q[(q * (2 * a - q * b)).argmax()])

    def table_violations(self, steps: Sequence[float], scale: Tensor) -> list[str]:
        wrong = super().table_violations(steps, scale)
        if bool(((scale.double().frexp().mantissa != 0.5) & (scale != 0)).any()):
            wrong.append(f"scales {scale.tolist()[:8]} are not powers of two")
        if self.top is not None and bool((scale != 2.0**self.top).any()):
            wrong.append(f"largest level {float(scale[0])}, not 2^{self.top}")
        return wrong
