"""A solver: one stage at work on a model, in two moments, before and after each optimizer step."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from tighten import sites
from tighten.allocation import Evidence
from tighten.codes import Code, Sparse, refit
from tighten.errors import ConstraintError, PlanError
from tighten.methods import Problem, State
from tighten.methods.hold import Hold, apply
from tighten.plan import Stage
from tighten.schedules import Clock
from tighten.sets import Intersection, LevelSet, Set, SupportSet


class Solver:
    """The constraint side of training during one stage.

    Args:
        model: the network; its parameters are changed in place, nothing else of it.
        stage: what is to be done.
        held: the codes that earlier stages put weights on; they are kept.
        promises: the sets that those codes are in.
        clock: the stage's steps.
        state: where to go on; None starts anew.
    """

    def __init__(
        self,
        model: nn.Module,
        stage: Stage,
        held: Mapping[str, Code],
        promises: Mapping[str, Set],
        clock: Clock,
        state: State | None = None,
    ) -> None:
        self.model = model
        self.stage = stage
        self.held = dict(held)
        chosen = sites.select(model, stage.sets)
        self.sets = {name: _within(promises.get(name), constraint) for name, constraint in chosen.items()}
        self._open = [name for name, s in self.sets.items() if s.is_open]
        self.problem = Problem(self._weights, self.sets, self.settle, clock)
        stage.method.check(self.problem)
        with torch.no_grad():
            sites.check_finite(self._weights(), "before the stage")
            self.state = stage.method.start(self.problem) if state is None else state
        self._rebuild()
        if state is None:
            self._hold()

    @property
    def clock(self) -> Clock:
        """The stage's steps."""
        return self.problem.clock

    def settle(self, tensors: Mapping[str, Tensor], squared_gradients: Mapping[str, float]) -> dict[str, Set]:
        """The sets of this stage, open counts filled from the budget by what is known of the sites."""
        if not self._open or self.stage.budget is None:
            return dict(self.sets)
        judged = {name: Evidence(tensors[name].detach(), squared_gradients.get(name)) for name in self._open}
        count = self.stage.budget.count(sum(e.values.numel() for e in judged.values()))
        shares = self.stage.allocate(judged, count)
        dead = [name for name in self._open if shares.get(name, 0) < 1]
        if dead:
            raise PlanError(f"the allocation leaves nothing of '{dead[0]}': raise the budget or leave the site out")
        if sum(shares.values()) > count:
            raise PlanError(f"the allocation spends {sum(shares.values())} weights of a budget of {count}")
        return {name: s.with_count(shares[name]) if name in shares else s for name, s in self.sets.items()}

    def penalty(self) -> Tensor:
        """The augmented term of the loss, sum of rho/2 |W - Z + U|^2; for `loss + solver.penalty()`."""
        weights = self._weights()
        terms = [(weights[name] - v).square().sum() for name, v in self.state.targets.items()]
        return self.state.rho / 2 * torch.stack(terms).sum() if terms else torch.zeros(())

    @torch.no_grad()
    def before_step(self, gradient_scale: Tensor | float = 1.0) -> None:
        """The pull rho (W - Z + U), added to each site's gradient.

        Args:
            gradient_scale: the factor on gradients that a gradient scaler has not yet taken off.
        """
        if not self.state.targets:
            return
        weights = self._weights()
        gradients = {name: w.grad for name, w in weights.items() if w.grad is not None and name in self.state.targets}
        if not gradients:
            return
        pulls = torch._foreach_sub([weights[n] for n in gradients], [self.state.targets[n] for n in gradients])
        torch._foreach_mul_(pulls, self.state.rho * float(gradient_scale))
        torch._foreach_add_(list(gradients.values()), pulls)

    @torch.no_grad()
    def after_step(self) -> None:
        """Everything due after an optimizer step: what is held is held, and Z, U and rho are updated in time."""
        self.state.step += 1
        self._hold()
        if self.stage.method.after_step(self.problem, self.state):
            self._rebuild()
            self._hold()

    @torch.no_grad()
    def finish(self) -> tuple[dict[str, Code], dict[str, Set]]:
        """The end of the stage: the codes that now hold, and the sets that they are in.

        Raises:
            ConstraintError: a weight is not where its set promises; a defect of a set or method.
        """
        sites.check_finite(self._weights(), "at the end of the stage")
        if not self.stage.method.commits:
            return dict(self.held), {}
        weights = sites.tensors(self.model, list(self.held | self.sets))
        codes: dict[str, Code] = {name: refit(code, weights[name]) for name, code in self.held.items()}
        codes |= self.stage.method.finish(self.problem, self.state)
        promises = {name: _closed(name, constraint, codes[name]) for name, constraint in self.sets.items()}
        for name, code in codes.items():
            weights[name].copy_(code.dense())
        for name, promise in promises.items():
            if wrong := promise.violations(codes[name]):
                raise ConstraintError(f"'{name}' is not in {promise!r}: {wrong[0]}")
        return codes, promises

    def _weights(self) -> dict[str, Tensor]:
        return sites.tensors(self.model, list(self.sets))

    def _rebuild(self) -> None:
        holds = Hold.all_of({name: code for name, code in self.held.items() if name not in self.sets})
        for name in self.sets:
            support = Hold.support_of(self.held[name]) if name in self.held else None
            if support is not None:
                holds[name] = support
        self._holds = holds | self.stage.method.holds(self.state)

    def _hold(self) -> None:
        if self._holds:
            apply(self._holds, sites.tensors(self.model, list(self._holds)))


def check_stage(model: nn.Module, stage: Stage) -> None:
    """Nothing, where the stage can be carried out on a model of these shapes; found before any training.

    Raises:
        PlanError: a selector that matches nothing, or a budget that is missing, idle or impossible.
        SetError: a set that has no point of its site's shape.
    """
    sets = sites.select(model, stage.sets)
    weights = sites.tensors(model, list(sets))
    open_sites = [name for name, constraint in sets.items() if constraint.is_open]
    if open_sites and stage.budget is None:
        raise PlanError(
            f"the set of '{open_sites[0]}' names no count and the stage has no budget: "
            f"write Sparse(density=...) or Stage(..., budget=Budget(rate=...))"
        )
    if stage.budget is not None:
        if not open_sites:
            raise PlanError("the stage has a budget, but no set is open to it: use Sparse() without a count")
        stage.budget.count(sum(weights[name].numel() for name in open_sites))
    for name, constraint in sets.items():
        if not constraint.is_open:
            constraint.fit(torch.zeros_like(weights[name]))


def _closed(name: str, constraint: Set, code: Code) -> Set:
    """The set with its open count filled in by what was kept."""
    if not constraint.is_open or not isinstance(code, Sparse):
        return constraint
    if code.kept == 0:
        raise PlanError(f"nothing is left of '{name}': raise the budget or leave the site out")
    return constraint.with_count(int(code.grid.sum()))


def _within(promise: Set | None, constraint: Set) -> Set:
    """The constraint, kept inside the support that an earlier stage promised."""
    support = promise.support if isinstance(promise, Intersection) else promise
    if isinstance(constraint, LevelSet) and isinstance(support, SupportSet):
        return support & constraint
    return constraint
