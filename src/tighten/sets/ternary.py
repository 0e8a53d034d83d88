"""Three levels, -a, 0 and +a."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from tighten.sets.checks import flag
from tighten.sets.part import Part
from tighten.sets.scale import exact_scale
from tighten.sets.scaled import ScaledLevels


@dataclass(frozen=True, repr=False)
class Ternary(ScaledLevels):
    """Tensors whose entries are -a, 0 or +a.

    Projection: exact. With the k largest magnitudes on +-a and the sum S_k of these, a = S_k / k is best, and the
    best k has the largest S_k^2 / k.
    Shape: any; two axes or more with `per_channel`.
    Cost: a sort.
    Source: the set: Li et al., "Ternary Weight Networks", arXiv 1605.04711 (which approximates k).

    Args:
        per_channel: one a for each output (axis 0).
    """

    per_channel: bool = False

    def __post_init__(self) -> None:
        flag(self, "per_channel", self.per_channel)

    @property
    def magnitudes(self) -> tuple[float, ...]:
        return (0.0, 1.0)

    def best_scale(self, sizes: Tensor, steps: Tensor, largest: float, part: Part | None = None) -> float:
        return exact_scale(sizes, steps, part)
