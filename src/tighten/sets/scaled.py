"""Level sets whose steps are fixed and whose scale is fitted."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor

from tighten.codes import Indexed
from tighten.errors import SetError
from tighten.sets.levels import LevelSet
from tighten.sets.part import Part


class ScaledLevels(LevelSet):
    """Levels +-q t, with fixed steps t and a scale q that is fitted, to all entries or channel by channel.

    A subclass says the steps and, where it can, a faster or more limited way to find q.
    """

    symmetric: ClassVar[bool] = True

    @property
    @abstractmethod
    def magnitudes(self) -> tuple[float, ...]:
        """The steps that are not negative, rising."""

    @property
    def scalable(self) -> bool:
        return not self.given

    @abstractmethod
    def best_scale(self, sizes: Tensor, steps: Tensor, largest: float, part: Part | None = None) -> float:
        """The scale q with the least sum of squared distances; 0 where all sizes are.

        Args:
            sizes: magnitudes of the entries, rising, float64.
            steps: `magnitudes`, and 0 where the caller allows it besides, float64.
            largest: the largest number that the tensor's type can hold.
            part: over which parts the scale is fitted to all sizes; None where these are all.
        """

    def fit_entries(
        self, x: Tensor, counts: Tensor | None = None, zero: bool = False, part: Part | None = None
    ) -> Indexed:
        magnitudes = torch.tensor(self.magnitudes, dtype=torch.float64, device=x.device)
        if zero and self.magnitudes[0] != 0:
            magnitudes = torch.cat([magnitudes.new_zeros(1), magnitudes])
        if not torch.equal(magnitudes.to(x.dtype).double(), magnitudes):
            raise SetError(f"the levels of {self!r} cannot be told apart in {x.dtype}: use fewer bits")
        counts = torch.tensor([x.numel()], device=x.device) if counts is None else counts
        largest = torch.finfo(x.dtype).max
        runs = x.double().abs().split(counts.tolist()) if len(counts) else ()
        scales = [self.best_scale(run.sort().values, magnitudes, largest, part) for run in runs]
        scale = torch.tensor(scales, dtype=x.dtype, device=x.device)
        if not bool(torch.isfinite(scale).all()):
            raise SetError(f"the levels of {self!r} are too large for {x.dtype}: use a smaller interval or top")
        negative = -magnitudes[magnitudes > 0].flip(0)
        return Indexed(
            index=torch.zeros(x.shape, dtype=torch.uint8, device=x.device),
            steps=torch.cat([negative, magnitudes]).to(x.dtype),
            scale=scale,
            counts=counts,
        ).nearest(x)

    def table_violations(self, steps: Sequence[float], scale: Tensor) -> list[str]:
        wrong = sorted({step for step in steps if abs(step) not in self.magnitudes})
        return [f"steps {wrong[:8]} are not of {self!r}"] if wrong else []
