"""Straight-through training: the network computes with levels, its latent weights move."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from tighten.codes import Code, Sparse, refit
from tighten.errors import PlanError
from tighten.methods.base import Method, Problem, State
from tighten.schedules import Clock, cosine
from tighten.sets import Intersection, LevelSet


@dataclass(frozen=True)
class StraightThrough(Method):
    """Training on the sets themselves: the gradient at the nearest point of the set moves latent weights.

    Update, at each optimizer step:
        V <- V - step(gradient of f at W),  W <- P(V)
    where the tables of P, such as the scale of levels, are those of the exact projection of V at the last of `updates`
    updates, evenly spaced. So the weights lie in their sets after every step, and every loss and accuracy on the way
    is that of the compressed network. Supports stay those of the start; zeros among the levels come and go.

    One buffer of the size of the sites holds V.

    Source: Bengio et al., arXiv 1308.3432 (the gradient passes straight through); Courbariaux et al., arXiv 1511.00363
    (latent weights).

    Args:
        updates_per_epoch: how often the tables are fitted anew in each epoch.
        learning_rate_end: the part of the learning rate that is left at the end of its cosine.
    """

    updates_per_epoch: int = 8
    learning_rate_end: float = 0.0

    def __post_init__(self) -> None:
        if self.updates_per_epoch < 1:
            raise PlanError(f"tables cannot be fitted {self.updates_per_epoch} times in an epoch: give at least 1")

    def check(self, problem: Problem) -> None:
        for name, constraint in problem.sets.items():
            if not isinstance(constraint, LevelSet | Intersection):
                raise PlanError(f"'{name}' is to be in {constraint!r}, which has no levels: use Masked or Exchange")
            if constraint.is_open:
                raise PlanError(f"the count of {constraint!r} for '{name}' is open: give it or prune in a stage before")

    def start(self, problem: Problem) -> State:
        weights = {name: w.detach() for name, w in problem.weights().items()}
        codes = {name: _fit(problem, name, w) for name, w in weights.items()}
        state = State(codes=codes, latents={name: _supported(w, codes[name]) for name, w in weights.items()})
        self.undo_step(problem, state)
        return state

    @torch.no_grad()
    def before_step(self, problem: Problem, state: State) -> None:
        _put(problem.weights(), state.latents)

    @torch.no_grad()
    def after_step(self, problem: Problem, state: State) -> bool:
        weights, updates = problem.weights(), self.updates_per_epoch * problem.clock.epochs
        state.latents = {name: _supported(w, state.codes[name]) for name, w in weights.items()}
        if problem.clock.parts_done(state.step, updates) > problem.clock.parts_done(state.step - 1, updates):
            state.codes = {name: _fit(problem, name, v, state.codes[name]) for name, v in state.latents.items()}
        self.undo_step(problem, state)
        return False

    @torch.no_grad()
    def undo_step(self, problem: Problem, state: State) -> None:
        _put(problem.weights(), {n: refit(code, state.latents[n]).dense() for n, code in state.codes.items()})

    def finish(self, problem: Problem, state: State) -> dict[str, Code]:
        return {name: refit(code, state.latents[name]) for name, code in state.codes.items()}

    def learning_rate_factor(self, step: int, clock: Clock) -> float:
        return cosine(step / max(1, clock.steps), self.learning_rate_end)


def _fit(problem: Problem, name: str, x: Tensor, before: Code | None = None) -> Code:
    """The point of a set that is nearest to `x`; of those with the support of `before`, where it has one."""
    constraint, part = problem.sets[name], problem.parts.get(name)
    if not isinstance(constraint, Intersection):
        return constraint.fit(x, part)
    support = before if isinstance(before, Sparse) else constraint.support.fit(x, part)
    return constraint.fit_on(support, x, part)


def _supported(x: Tensor, code: Code) -> Tensor:
    """A copy of `x` that is zero wherever the code's support is."""
    return x * code.support if isinstance(code, Sparse) else x.clone()


def _put(tensors: Mapping[str, Tensor], values: Mapping[str, Tensor]) -> None:
    torch._foreach_copy_([tensors[name] for name in values], list(values.values()))
