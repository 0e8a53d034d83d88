"""Feedback: pruning while it trains, in which what is pruned keeps learning and may come back."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from tighten.codes import Code
from tighten.errors import PlanError
from tighten.methods.base import Method, Problem, State
from tighten.methods.hold import keep
from tighten.methods.latent import put
from tighten.methods.sense import sense
from tighten.methods.support import Support
from tighten.schedules import Clock, cosine
from tighten.sets.counted import CountedSupport
from tighten.sets.part import Part, total


@dataclass(frozen=True)
class Feedback(Method):
    """Pruning on a support that shrinks and moves: the network computes on it, but all weights learn.

    Update, at each optimizer step:
        V <- V - step(gradient of f at W), a part `returning` of it outside the support
        W <- V on the support, 0 elsewhere
    and `updates_per_epoch` times in each epoch the support becomes that of the projection of V on the set. The set's
    count falls to what is asked for in the first part of the stage, like (1 - x)^3. So the loss is that of the pruned
    network, and an entry that was pruned too early comes back once its gradients say so. Open sets share their budget
    anew at each update.

    One buffer of the size of the sites holds V.

    Source: Lin et al., arXiv 2006.07253 (dynamic pruning with feedback); Zhu and Gupta, arXiv 1710.01878 (the
    cubic).

    Args:
        shrinking: the part of the stage in which the count falls.
        moving: the part of the stage in which the support moves; then it rests.
        updates_per_epoch: how often the support is chosen anew in each epoch.
        returning: the part of an optimizer's step that what is pruned takes. Optimizers that divide by the size of
            gradients, as Adam does, move what is pruned as far as what is kept, mostly by noise.
        learning_rate_end: the part of the learning rate that is left at the end of its cosine.
    """

    shrinking: float = 0.5
    moving: float = 0.6
    updates_per_epoch: int = 32
    returning: float = 0.1
    learning_rate_end: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.shrinking <= self.moving <= 1:
            raise PlanError(
                f"a support moves while it shrinks, and both are parts of the stage: shrinking={self.shrinking}, "
                f"moving={self.moving}; give about 0.5 and 0.6"
            )
        if not 0 <= self.returning <= 1:
            raise PlanError(f"what is pruned takes a part of each step: returning={self.returning}; give 0 to 1")
        if self.updates_per_epoch < 1:
            raise PlanError(f"the support is chosen {self.updates_per_epoch} times in an epoch: give at least 1")

    def check(self, problem: Problem) -> None:
        for name, constraint in problem.sets.items():
            if not isinstance(constraint, CountedSupport):
                raise PlanError(f"'{name}' is to be in {constraint!r}, which has no count to fall: use Sparse or Admm")

    def start(self, problem: Problem) -> State:
        state = State(latents={name: w.detach().clone() for name, w in problem.weights().items()})
        self._choose(problem, state)
        self.undo_step(problem, state)
        return state

    @torch.no_grad()
    def before_step(self, problem: Problem, state: State) -> None:
        put(problem.weights(), state.latents)

    @torch.no_grad()
    def after_step(self, problem: Problem, state: State) -> bool:
        # New tensors: a checkpoint that was taken before keeps what it has.
        masks = state.masks()
        state.latents = {
            name: torch.where(masks[name] != 0, w, state.latents[name].lerp(w, self.returning))
            for name, w in problem.weights().items()
        }
        sense(problem, state)
        moving = Clock(1, max(1, round(self.moving * problem.clock.steps)))
        updates = max(1, round(self.moving * self.updates_per_epoch * problem.clock.epochs))
        if state.step <= moving.steps and moving.parts_done(state.step, updates) > moving.parts_done(
            state.step - 1, updates
        ):
            self._choose(problem, state)
        self.undo_step(problem, state)
        return False

    @torch.no_grad()
    def undo_step(self, problem: Problem, state: State) -> None:
        weights, masks = problem.weights(), state.masks()
        put(weights, state.latents)
        for name, w in weights.items():
            keep(w, masks[name])

    def finish(self, problem: Problem, state: State) -> dict[str, Code]:
        return {name: support.code(state.latents[name]) for name, support in state.supports.items()}

    def learning_rate_factor(self, step: int, clock: Clock) -> float:
        return cosine(step / max(1, clock.steps), self.learning_rate_end)

    def _choose(self, problem: Problem, state: State) -> None:
        """The support of each site, of as many units as its set allows at this step."""
        shrinking = int(self.shrinking * problem.clock.steps)
        left = (1 - state.step / shrinking) ** 3 if state.step < shrinking else 0.0
        for name, constraint in problem.settle(state.latents, state.squared_gradients).items():
            assert isinstance(constraint, CountedSupport)
            part, latent = problem.parts.get(name), state.latents[name]
            support = Support.of(_widened(constraint, latent, left, part).fit(latent, part))
            assert support is not None
            state.supports[name] = support


def _widened(constraint: CountedSupport, x: Tensor, left: float, part: Part | None) -> CountedSupport:
    """The set with a count that is yet to fall by the part `left` of the units of `x` that are not zero."""
    units, shape = constraint.units_of(tuple(x.shape), x.device, part), tuple(x.shape) if part is None else part.shape
    every = math.prod(shape) // math.prod(constraint.unit(shape))
    count = constraint.count_of(every)
    alive = int(total(units.apart, units.pool(x != 0).sum()))
    return replace(constraint, count=count + int(left * max(0, alive - count)), density=None)
