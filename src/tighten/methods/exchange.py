"""Exchange: retraining in which weights that do little make room for others that would do more."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from tighten.codes import Code, Dense, Sparse, refit
from tighten.errors import PlanError
from tighten.methods.base import Method, Problem, State
from tighten.methods.hold import Hold
from tighten.schedules import Clock, cosine
from tighten.sets import SupportSet

FLATNESS = 1e-3
"""Part of a site's largest gradient variance that is added to each: entries that hardly vary are no certainties."""


@dataclass(frozen=True)
class Exchange(Method):
    """Masked retraining on a support that grows and is pruned back in `cycles`, then rests.

    Update, in each cycle c of n:
        grow   the part `part * (1 - c / n)` of the kept entries is added where mean(g)^2 / var(g) is largest, at zero
        prune  the support goes back into its set, keeping what has the largest w^2 * mean(g^2)
    where g are the gradients of the steps since the update before. An optimizer computes those of pruned entries
    anyway, so nothing is computed twice. Removing w raises the loss by about F w^2 / 2, with F the diagonal Fisher
    information; freeing an entry at zero lowers it by about mean(g)^2 / 2F. Open sets share their budget anew at
    each pruning, so layers trade entries too. A support found by ADMM is a good one to start from: the search is local.

    Two buffers of the size of the sites hold the sums of g and g^2.

    Source: after Evci et al., arXiv 1911.11134 (drop and grow while training) and LeCun et al., "Optimal Brain Damage"
    (1989) for what is dropped; both scores here are of second order.

    Args:
        cycles: how often the support grows and is pruned.
        part: of the kept entries, how many are added in the first cycle; later ones add less.
        rest: part of the stage at its end in which the support stays as it is.
        learning_rate_end: the part of the learning rate that is left at the end of the cosine of the rest.
    """

    cycles: int = 24
    part: float = 0.3
    rest: float = 0.3
    learning_rate_end: float = 0.0

    def __post_init__(self) -> None:
        if self.cycles < 1:
            raise PlanError(f"an exchange in {self.cycles} cycles changes nothing: give cycles=1 or more, or Masked()")
        if not self.part > 0:
            raise PlanError(f"part={self.part} adds no entries: give about 0.3")
        if not 0 <= self.rest < 1:
            raise PlanError(f"rest={self.rest} is not a part of the stage that leaves room for cycles: give about 0.3")

    @property
    def minds_zeros(self) -> bool:
        return True

    def check(self, problem: Problem) -> None:
        if problem.parts:
            raise PlanError(
                f"'{next(iter(problem.parts))}' is shared by processes, which cannot exchange: use Masked or DDP"
            )
        for name, constraint in problem.sets.items():
            if not (isinstance(constraint, SupportSet) and constraint.by_entry):
                raise PlanError(
                    f"'{name}' is to be in {constraint!r}, but only single entries are exchanged: use Sparse"
                )
        if 2 * self.cycles > self._busy(problem.clock):
            steps = self._busy(problem.clock)
            raise PlanError(f"{self.cycles} cycles do not fit into {steps} steps: give more epochs or fewer cycles")

    def start(self, problem: Problem) -> State:
        codes: dict[str, Code] = {}
        for name, w in problem.weights().items():
            support = w.detach() != 0
            codes[name] = Sparse(support, (1,) * w.ndim, Dense(w.detach()[support]))
        return State(codes=codes)

    @torch.no_grad()
    def after_step(self, problem: Problem, state: State) -> bool:
        clock = Clock(1, self._busy(problem.clock))
        if state.step > clock.steps:
            return False
        _listen(problem, state)
        done = clock.parts_done(state.step, 2 * self.cycles)
        if done == clock.parts_done(state.step - 1, 2 * self.cycles):
            return False
        if done % 2:
            self._grow(problem.weights(), state, self.part * (1 - (done // 2) / self.cycles))
        else:
            _prune(problem, state)
        state.gradient_sums, state.gradient_squares, state.listened = {}, {}, 0
        return True

    def holds(self, state: State) -> dict[str, Hold]:
        return Hold.all_of(state.codes)

    def finish(self, problem: Problem, state: State) -> dict[str, Code]:
        weights = problem.weights()
        return {name: refit(code, weights[name].detach()) for name, code in state.codes.items()}

    def learning_rate_factor(self, step: int, clock: Clock) -> float:
        busy = self._busy(clock)
        if step < busy:
            return 0.75 * (1 - 0.7 * step / busy)
        return cosine((step - busy) / max(1, clock.steps - busy), self.learning_rate_end)

    def _busy(self, clock: Clock) -> int:
        """Steps with cycles."""
        return clock.steps - int(self.rest * clock.steps)

    def _grow(self, weights: dict[str, Tensor], state: State, part: float) -> None:
        codes = {name: code for name, code in state.codes.items() if isinstance(code, Sparse)}
        scores = {}
        for name, code in codes.items():
            mean = state.gradient_sums[name] / state.listened
            variance = state.gradient_squares[name] / state.listened - mean.square()
            variance = variance.clamp_min(0) + FLATNESS * variance.max().clamp_min(torch.finfo(mean.dtype).tiny)
            scores[name] = (mean.square() / variance).masked_fill(code.support, -1.0)
        flat = torch.cat([score.flatten() for score in scores.values()])
        room = int((flat > 0).sum())  # what gets no gradient, as all that leads to a dead neuron, would do nothing
        count = min(room, round(part * sum(code.kept for code in codes.values())))
        added = torch.zeros_like(flat, dtype=torch.bool)
        added[flat.topk(count).indices] = True
        for (name, code), new in zip(codes.items(), added.split([s.numel() for s in scores.values()]), strict=True):
            support = code.support | new.view(code.shape)
            state.codes[name] = Sparse(support, code.unit, Dense(weights[name][support]))


def _listen(problem: Problem, state: State) -> None:
    """The gradients of this step, added to what is known of every entry."""
    gradients = problem.gradients()
    for name, w in problem.weights().items():
        gradient = gradients.get(name, torch.zeros_like(w))
        # New tensors each time: a checkpoint that was taken before keeps what it has.
        state.gradient_sums[name] = gradient + state.gradient_sums.get(name, 0.0)
        state.gradient_squares[name] = gradient.square() + state.gradient_squares.get(name, 0.0)
    state.listened += 1


def _prune(problem: Problem, state: State) -> None:
    weights = {name: w.detach() for name, w in problem.weights().items()}
    saliency = {name: w.abs() * (state.gradient_squares[name] / state.listened).sqrt() for name, w in weights.items()}
    # Saliencies know what each entry is worth: no site weighs more than another.
    chosen = problem.fit(saliency, dict.fromkeys(saliency, 1.0))
    state.codes = {name: refit(code, weights[name]) for name, code in chosen.items()}
