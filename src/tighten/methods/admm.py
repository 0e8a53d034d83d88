"""ADMM: the weights are pulled to a moving point of the set, ever harder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from tighten.codes import Code
from tighten.errors import PlanError
from tighten.methods.base import Method, Problem, State
from tighten.methods.sense import sense
from tighten.methods.support import Support
from tighten.schedules import Clock, cosine
from tighten.sets.part import Part, total
from tighten.sites import check_finite


@dataclass(frozen=True)
class Admm(Method):
    """The alternating direction method of multipliers, with a rho that grows at each update.

    Update, `updates` times in the stage, evenly spaced:
        Z <- P(W + U),  U <- (U + W - Z) / g,  rho <- rho * g
    Between updates the optimizer minimises f(W) + rho/2 |W - Z + U|^2. Dividing the scaled dual by the
    growth g of rho keeps the multiplier rho * U as it is. State: V = Z - U and what tells Z from it: for pruning the
    support, for levels an index of a byte per entry. U is their difference, so no third buffer is held.

    Source: Boyd et al. (2011), sections 3.1.1 and 3.4.1; Ye et al., arXiv 1903.09769.

    Args:
        rho: weight of the pull at the start.
        rho_end: weight of the pull at the end; it grows geometrically.
        updates_per_epoch: Z and U updates in each epoch.
        update_every: steps between updates; in place of `updates_per_epoch` where given.
        learning_rate_end: the learning rate falls to this part of itself before each update, then starts anew.
        commit: whether the weights are put on their sets at the end; without, a later stage must do it.
        until: the stage may end at the epoch after which no site's primal residual is above this; zero: never early.
        regrow: whether entries that earlier stages pruned may come back; without, supports are nested.
    """

    rho: float = 1e-3
    rho_end: float = 1e-1
    updates_per_epoch: int = 2
    update_every: int | None = None
    learning_rate_end: float = 0.15
    commit: bool = True
    until: float = 0.0
    regrow: bool = False

    def __post_init__(self) -> None:
        if not 0 < self.rho <= self.rho_end:
            raise PlanError(f"rho must be positive and grow: rho={self.rho}, rho_end={self.rho_end}")
        if self.updates_per_epoch < 1 or (self.update_every is not None and self.update_every < 1):
            raise PlanError(f"ADMM needs at least one update: {self!r}")
        if self.until < 0:
            raise PlanError(
                f"a residual is never below zero: until={self.until}; give about 0.03, or 0 for never early"
            )

    @property
    def commits(self) -> bool:
        return self.commit

    @property
    def minds_zeros(self) -> bool:
        return self.regrow

    def converged(self, state: State) -> bool:
        return bool(state.primal) and max(state.primal.values()) < self.until

    def updates(self, clock: Clock) -> int:
        """How often Z and U are updated in the stage."""
        if self.update_every is not None:
            return max(1, clock.steps // self.update_every)
        return self.updates_per_epoch * clock.epochs

    def growth(self, clock: Clock) -> float:
        """The factor g on rho at each update but the last."""
        n = self.updates(clock)
        return float((self.rho_end / self.rho) ** (1 / (n - 1))) if n > 1 else 1.0

    def start(self, problem: Problem) -> State:
        codes = problem.fit(problem.weights(), {})
        state = State(rho=self.rho, targets={name: code.dense().clone() for name, code in codes.items()})
        _keep(state, codes)
        return state

    @torch.no_grad()
    def after_step(self, problem: Problem, state: State) -> bool:
        sense(problem, state)
        n = self.updates(problem.clock)
        done = problem.clock.parts_done(state.step, n)
        if done == problem.clock.parts_done(state.step - 1, n):
            return False
        growth = self.growth(problem.clock) if done < n else 1.0
        weights = problem.weights()
        check_finite(weights, f"after {state.step} steps of ADMM at rho {state.rho:.2g}", problem.parts)
        before = {name: state.point(name) for name in weights}
        for name, w in weights.items():  # for a moment the buffer of V holds W + U
            v = state.targets[name]
            torch.sub(w + before[name].dense(), v, out=v)
        codes = problem.fit(state.targets, state.squared_gradients)
        for name, w in weights.items():
            part, v, z = problem.parts.get(name), state.targets[name], codes[name].dense()
            state.primal[name] = _relative(w - z, w, part)
            state.dual[name] = _relative(z - before[name].dense(), z, part)
            torch.sub(z, v.sub_(z).div_(growth), out=v)
        _keep(state, codes)
        state.rho *= growth
        return True

    def finish(self, problem: Problem, state: State) -> dict[str, Code]:
        return problem.fit(problem.weights(), state.squared_gradients)

    def learning_rate_factor(self, step: int, clock: Clock) -> float:
        return cosine(clock.within_part(step, self.updates(clock)), self.learning_rate_end)


def _keep(state: State, codes: Mapping[str, Code]) -> None:
    """The points Z, whose targets the state has, kept in as little memory as tells them."""
    supports = {name: Support.of(code) for name, code in codes.items()}
    state.supports = {name: support for name, support in supports.items() if support is not None}
    state.codes = {name: code for name, code in codes.items() if name not in state.supports}


def _relative(difference: Tensor, reference: Tensor, part: Part | None) -> float:
    norms = torch.stack([difference.norm(), reference.norm()])
    if part is not None:
        norms = total(part, norms.double().square()).sqrt()
    return float(norms[0] / norms[1].clamp_min(1e-30))
