"""Clocks and learning-rate curves of a stage."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Clock:
    """The steps of a stage.

    Args:
        epochs: how many passes over the data.
        steps_per_epoch: optimizer steps in each.
    """

    epochs: int
    steps_per_epoch: int

    @property
    def steps(self) -> int:
        """All steps of the stage."""
        return self.epochs * self.steps_per_epoch

    def parts_done(self, step: int, parts: int) -> int:
        """How many of `parts` equal parts of the stage are complete after `step` steps."""
        return step * parts // self.steps if self.steps else parts

    def within_part(self, step: int, parts: int) -> float:
        """How far `step` is inside its part, from 0 to 1."""
        return step * parts / self.steps - self.parts_done(step, parts) if self.steps else 0.0


def cosine(progress: float, end: float = 0.0) -> float:
    """A factor that falls from 1 to `end` along half a cosine while `progress` goes from 0 to 1."""
    return end + (1 - end) * 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))
