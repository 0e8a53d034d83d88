"""Accuracy-gated progression: ever smaller while a gate holds, a smaller step where it does not."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from tighten.errors import PlanError

S = TypeVar("S", bound="Step")


@dataclass(frozen=True)
class Gate:
    """The least validation accuracy of a step that is kept; give one of the two.

    Args:
        drop: points that it may lie below the dense network's.
        accuracy: in percent.
    """

    drop: float | None = None
    accuracy: float | None = None

    def __post_init__(self) -> None:
        if (self.drop is None) == (self.accuracy is None):
            raise PlanError(f"a gate needs either a drop or an accuracy: {self!r}; write Gate(drop=0.2)")
        if self.drop is not None and not -100 < self.drop < 100:
            raise PlanError(f"a drop of {self.drop} points lets everything pass or nothing: give a few tenths")
        if self.accuracy is not None and not 0 <= self.accuracy <= 100:
            raise PlanError(f"an accuracy of {self.accuracy} % cannot be reached: give 0 to 100")

    def least(self, dense: float) -> float:
        """The least accuracy in percent, where the dense network has `dense`."""
        return dense - self.drop if self.drop is not None else self.accuracy or 0.0


@dataclass(frozen=True)
class Step:
    """One attempt at a smaller network.

    Args:
        size: what was reached, in the unit of the search (kept weights, or bytes).
        accuracy: on validation data, in percent.
        passed: whether the gate held.
    """

    size: float
    accuracy: float
    passed: bool


@dataclass(frozen=True)
class Search:
    """The choice of the next size to try, by what came of the steps so far; a pure function of them.

    Every step starts from the smallest size that passed. Without a goal it divides by `factor`; with one it goes a
    `part` of the way that is left, on a logarithmic scale, and all of it where that is no more than a factor of
    two: much can go while a network is large, little at the end. After a failure no step is longer than the
    square root of the one that failed, and likewise after a pass that used up more than half of what the gate
    allows. The search ends at `goal`, or when steps would have to be shorter than `least_factor`: they no longer pay.

    Args:
        start: size of the dense network.
        dense: its validation accuracy, in percent.
        gate: what a step must hold.
        goal: the size to reach; None goes on as long as it pays.
        factor: how much smaller a step makes the network where there is no goal.
        part: of the way left to a goal that a step goes.
        least_factor: the shortest step that is tried, above 1.
    """

    start: float
    dense: float
    gate: Gate
    goal: float | None = None
    factor: float = 8.0
    part: float = 2 / 3
    least_factor: float = 1.1

    def __post_init__(self) -> None:
        if not 1 < self.least_factor <= self.factor:
            raise PlanError(f"steps must shrink: factor={self.factor}, least_factor={self.least_factor}")
        if not 0 < self.part <= 1:
            raise PlanError(f"a step cannot go {self.part} of the way that is left: give part above 0, at most 1")
        if self.goal is not None and not 0 < self.goal < self.start:
            raise PlanError(f"a goal of {self.goal:g} is not between nothing and the dense network's {self.start:g}")

    @property
    def least(self) -> float:
        """The least accuracy that passes, in percent."""
        return self.gate.least(self.dense)

    def passes(self, accuracy: float) -> bool:
        """Whether a network with this validation accuracy is kept."""
        return accuracy >= self.least

    def nearly(self, step: Step) -> bool:
        """Whether a step failed, but by no more than the gate lets a network lose."""
        return not step.passed and step.accuracy >= self.least - max(0.0, self.dense - self.least)

    def best(self, steps: Sequence[S]) -> S | None:
        """The smallest step that passed."""
        return min((s for s in steps if s.passed), key=lambda s: s.size, default=None)

    def next(self, steps: Sequence[Step]) -> float | None:
        """The size to try after these steps; None when the search has ended."""
        size, longest = self.start, math.inf
        for step in steps:
            if not step.passed or self._is_tight(step):
                longest = min(longest, math.sqrt(size / step.size))
            if step.passed:
                size = step.size
        if longest < self.least_factor or (self.goal is not None and size <= self.goal):
            return None
        return size / min(longest, self.factor if self.goal is None else self._towards(size / self.goal))

    def _is_tight(self, step: Step) -> bool:
        return self.dense - step.accuracy > (self.dense - self.least) / 2

    def _towards(self, left: float) -> float:
        """How far a step goes where the goal is `left` times smaller."""
        return left if left <= 2 else math.pow(left, self.part)
