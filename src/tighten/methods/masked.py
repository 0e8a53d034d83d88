"""Masked retraining: the sets are held after every step, everything else trains."""

from __future__ import annotations

from dataclasses import dataclass

from tighten.codes import Code, refit
from tighten.methods.base import Method, Problem, State
from tighten.methods.hold import Hold
from tighten.schedules import Clock, cosine


@dataclass(frozen=True)
class Masked(Method):
    """Training on the support that the weights have when the stage starts.

    Sites of earlier stages are held as they are. Sites that the stage itself names are put on their sets
    at once, in one shot, when it starts. Quantized sites do not move; biases and batch norm train.

    Source: Ye et al., arXiv 1903.09769 (masked mapping and retraining).

    Args:
        learning_rate_end: the part of the learning rate that is left at the end of its cosine.
    """

    learning_rate_end: float = 0.0

    def start(self, problem: Problem) -> State:
        return State(codes=problem.fit(problem.weights(), {}))

    def holds(self, state: State) -> dict[str, Hold]:
        return Hold.all_of(state.codes)

    def finish(self, problem: Problem, state: State) -> dict[str, Code]:
        weights = problem.weights()
        return {name: refit(code, weights[name].detach()) for name, code in state.codes.items()}

    def learning_rate_factor(self, step: int, clock: Clock) -> float:
        return cosine(step / max(1, clock.steps), self.learning_rate_end)
