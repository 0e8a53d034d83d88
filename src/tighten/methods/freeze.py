"""Feasible quantization in passes: entries near their level are frozen there, the others train on."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from tighten.codes import Code, Sparse, refit
from tighten.errors import PlanError
from tighten.methods.base import Method, Problem, State
from tighten.methods.hold import Hold
from tighten.schedules import Clock, cosine
from tighten.sets.part import total
from tighten.sets.top_k import top_k


@dataclass(frozen=True)
class Freeze(Method):
    """Quantization in equal passes; pass k of n starts by freezing the k/n of the entries nearest to their level.

    The tables are fitted when the stage starts and stay. From the start of the last pass on every entry is
    on its level and only what is never quantized (biases, batch norm) trains.

    Source: Ye et al., arXiv 1903.09769; the idea of passes: Zhou et al., arXiv 1702.03044.

    Args:
        passes: how often entries are frozen.
        learning_rate_end: the part of the learning rate that is left at the end of each pass.
    """

    passes: int = 4
    learning_rate_end: float = 0.15

    def __post_init__(self) -> None:
        if self.passes < 1:
            raise PlanError(f"quantization in {self.passes} passes freezes nothing: give at least 1")

    @property
    def settles(self) -> bool:
        return True

    def check(self, problem: Problem) -> None:
        if self.passes > problem.clock.steps:
            raise PlanError(
                f"{self.passes} passes do not fit into a stage of {problem.clock.steps} steps: give more epochs"
            )

    def start(self, problem: Problem) -> State:
        weights = problem.weights()
        state = State(codes=problem.fit(weights, {}))
        self._freeze(problem, state, 1 / self.passes)
        return state

    def after_step(self, problem: Problem, state: State) -> bool:
        done = problem.clock.parts_done(state.step, self.passes)
        if not self.passes > done > problem.clock.parts_done(state.step - 1, self.passes):
            return False
        self._freeze(problem, state, (done + 1) / self.passes)
        return True

    def holds(self, state: State) -> dict[str, Hold]:
        holds = {}
        for name, fixed in state.fixed.items():
            values = state.codes[name].dense()
            holds[name] = Hold(~fixed, values * fixed)
        return holds

    def finish(self, problem: Problem, state: State) -> dict[str, Code]:
        return state.codes

    def learning_rate_factor(self, step: int, clock: Clock) -> float:
        return cosine(clock.within_part(step, self.passes), self.learning_rate_end)

    @torch.no_grad()
    def _freeze(self, problem: Problem, state: State, share: float) -> None:
        for name, w in problem.weights().items():
            part = problem.parts.get(name)
            code = refit(state.codes[name], w)
            fixed = state.fixed.get(name)
            if fixed is None:  # zeros outside a support are fixed from the start and do not count as a pass
                fixed = ~code.support if isinstance(code, Sparse) else torch.zeros_like(w, dtype=torch.bool)
            distance = (w - code.dense()).abs().masked_fill(fixed, -1.0).flatten()
            inside = torch.tensor(code.kept if isinstance(code, Sparse) else w.numel(), device=w.device)
            kept = int(total(part, inside))
            free = kept - round(share * kept)
            fixed = ~top_k(distance.view(w.shape), free, part) if free else torch.ones_like(fixed)
            state.codes[name], state.fixed[name] = code, fixed
