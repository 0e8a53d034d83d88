"""Two levels, -a and +a."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from tighten.sets.checks import flag
from tighten.sets.part import Part
from tighten.sets.scale import exact_scale
from tighten.sets.scaled import ScaledLevels


@dataclass(frozen=True, repr=False)
class Binary(ScaledLevels):
    """Tensors whose entries are -a or +a.

    Projection: exact; a = mean |x|, the sign of each entry, and +a for 0.
    Shape: any; two axes or more with `per_channel`.
    Source: Rastegari et al., "XNOR-Net", arXiv 1603.05279, section 3.1.

    Args:
        per_channel: one a for each output (axis 0).
    """

    per_channel: bool = False

    def __post_init__(self) -> None:
        flag(self, "per_channel", self.per_channel)

    @property
    def magnitudes(self) -> tuple[float, ...]:
        return (1.0,)

    def best_scale(self, sizes: Tensor, steps: Tensor, largest: float, part: Part | None = None) -> float:
        return exact_scale(sizes, steps, part)
