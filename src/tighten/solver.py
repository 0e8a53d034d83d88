"""A solver: one stage at work on a model, in two moments, before and after each optimizer step."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from tighten import sites
from tighten.allocation import Budget, Calibration, Evidence
from tighten.allocation.measured import Meter
from tighten.codes import Code, Sparse, refit
from tighten.errors import ConstraintError, PlanError
from tighten.filesize import Measure, awaits_levels, planned_size, trimmed
from tighten.joined import joined_code, own_code
from tighten.methods import Problem, State
from tighten.methods.hold import Hold, apply
from tighten.plan import Stage
from tighten.schedules import Clock
from tighten.sets import Intersection, LevelSet, Set, SupportSet
from tighten.sets.part import Part, anywhere, total


class Solver:
    """The constraint side of training during one stage.

    Args:
        model: the network; its parameters are changed in place, nothing else of it.
        stage: what is to be done.
        held: the codes that earlier stages put weights on; they are kept. Of a parameter that processes share, here
            and everywhere else in this class, codes are of the part in this one.
        promises: the sets that those codes are in.
        clock: the stage's steps.
        state: where to go on; None starts anew.
        measure: encodes the file; needed for budgets of bytes.
        limit: the budget of bytes that the file must be within once its values are final, whichever stage gave it.
        calibration: of the stage's own budget of bytes, where it goes on.
    """

    def __init__(
        self,
        model: nn.Module,
        stage: Stage,
        held: Mapping[str, Code],
        promises: Mapping[str, Set],
        clock: Clock,
        state: State | None = None,
        *,
        measure: Measure | None = None,
        limit: Budget | None = None,
        calibration: Calibration | None = None,
    ) -> None:
        self.model = model
        self.stage = stage
        self.held = dict(held)
        self.promised = dict(promises)
        self.calibration = calibration
        self._measure, self._limit = measure, limit
        self._updating = False
        chosen = sites.select(model, stage.sets)
        self.parts = sites.parts(model, list(dict.fromkeys([*held, *chosen])))
        self.sets: dict[str, Set] = {}
        self._open: list[str] = []
        if state is None and stage.method.settles and chosen.keys() <= held.keys():
            self._trim_held()
        self.sets = {name: inside(promises.get(name), constraint) for name, constraint in chosen.items()}
        self._open = [name for name, s in self.sets.items() if s.is_open]
        # Set at each step by the stage that it is attached to; methods ask it for learning rates.
        self.optimizer: torch.optim.Optimizer | None = None
        self.problem = Problem(
            self._weights, self.sets, self.settle, clock, self._gradients, self.parts, self._learning_rates
        )
        stage.method.check(self.problem)
        with torch.no_grad():
            sites.check_finite(self._weights(), "before the stage", self.parts)
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
        judged = {
            name: Evidence(tensors[name].detach(), squared_gradients.get(name), part=self.parts.get(name))
            for name in self._open
        }
        if self.stage.budget.bytes is not None:
            shares = self._share_bytes(self.stage.budget.bytes, judged, tensors)
        else:
            shares = self.stage.budget.share(judged, self.stage.allocate)
        return {name: s.with_count(shares[name]) if name in shares else s for name, s in self.sets.items()}

    def penalty(self) -> Tensor:
        """The augmented term of the loss, sum of rho/2 |W - Z + U|^2; for `loss + solver.penalty()`.

        Raises:
            PlanError: processes share a parameter: their penalties would be added up as if they were losses.
        """
        if shared := [name for name in self.state.targets if name in self.parts]:
            raise PlanError(f"processes share '{shared[0]}', so its penalty is in none of them: use `attached`")
        weights = self._weights()
        terms = [(weights[name] - v).square().sum() for name, v in self.state.targets.items()]
        return self.state.rho / 2 * torch.stack(terms).sum() if terms else torch.zeros(())

    @torch.no_grad()
    def before_step(self, gradient_scale: Tensor | float = 1.0) -> None:
        """What is due before an optimizer step: the pull rho (W - Z + U), added to each site's gradient.

        Args:
            gradient_scale: the factor on gradients that a gradient scaler has not yet taken off.
        """
        self.stage.method.before_step(self.problem, self.state)
        targets = self.state.targets
        if not targets:
            return
        weights = self._weights()
        gradients = {name: g for name, g in self._gradients().items() if name in targets}
        if not gradients:
            return
        # In place, one after the other: a difference of its own would cost more than both.
        factor = self.state.rho * float(gradient_scale)
        torch._foreach_add_(list(gradients.values()), [weights[n] for n in gradients], alpha=factor)
        torch._foreach_sub_(list(gradients.values()), [targets[n] for n in gradients], alpha=factor)

    def undo_step(self) -> None:
        """What is due where the optimizer skipped the step: nothing has happened."""
        self.stage.method.undo_step(self.problem, self.state)

    @torch.no_grad()
    def after_step(self) -> None:
        """Everything due after an optimizer step: what is held is held, and Z, U and rho are updated in time."""
        self.state.step += 1
        self._hold()
        self._updating = True  # what comes of this will be measured before it counts
        changed = self.stage.method.after_step(self.problem, self.state)
        self._updating = False
        if changed:
            self._rebuild()
            self._hold()

    @torch.no_grad()
    def finish(self) -> tuple[dict[str, Code], dict[str, Set]]:
        """The end of the stage: the codes that now hold, and the sets that they are in.

        Raises:
            ConstraintError: a weight is not where its set promises; a defect of a set or method.
        """
        sites.check_finite(self._weights(), "at the end of the stage", self.parts)
        if not self.stage.method.commits:
            return dict(self.held), {}
        weights = sites.tensors(self.model, list(self.held | self.sets))
        codes: dict[str, Code] = {name: refit(code, weights[name]) for name, code in self.held.items()}
        codes |= self.stage.method.finish(self.problem, self.state)
        if self._limit is not None and not awaits_levels(codes, self.promised | self.sets, self._limit.value_bits):
            codes = self._trimmed(codes, self._limit)
        promises = self._promises(codes)
        # A bias may end up without entries, a layer may not.
        layers = [name for name in self._open if weights[name].ndim > 1]
        dead = [name for name in layers if isinstance(code := codes[name], Sparse) and self._kept(name, code) == 0]
        if dead:
            raise PlanError(f"nothing is left of '{dead[0]}': raise the budget or leave the site out")
        for name, code in codes.items():
            weights[name].copy_(code.dense())
        for name, promise in promises.items():
            check_promise(name, promise, codes[name], self.parts.get(name))
        return codes, promises

    @torch.no_grad()
    def _trim_held(self) -> None:
        """What is held, cut to the limit while what is left can still make up for it."""
        if self._limit is None:
            return
        weights = sites.tensors(self.model, list(self.held))
        codes = self._trimmed({name: refit(code, weights[name]) for name, code in self.held.items()}, self._limit)
        for name, code in codes.items():
            weights[name].copy_(code.dense())
        self.held = codes

    def _trimmed(self, codes: Mapping[str, Code], limit: Budget) -> dict[str, Code]:
        assert limit.bytes is not None
        promises = self.promised | self.sets
        whole = {name: joined_code(code, promises[name], self.parts.get(name)) for name, code in codes.items()}
        fitting = trimmed(whole, limit.bytes, lambda tried: self._size_of_whole(tried, limit.value_bits))
        return {
            name: own_code(code, promises[name], self.parts.get(name), codes[name].shape)
            for name, code in fitting.items()
        }

    def _share_bytes(
        self, budget: int, judged: Mapping[str, Evidence], tensors: Mapping[str, Tensor]
    ) -> dict[str, int]:
        assert self.stage.budget is not None
        value_bits = self.stage.budget.value_bits
        weights = sites.tensors(self.model, list(self.held))
        others: dict[str, Code] = {name: refit(code, weights[name].detach()) for name, code in self.held.items()}
        others |= self.problem.fit_all({n: s for n, s in self.sets.items() if not s.is_open}, tensors)

        def size_of(counts: Mapping[str, int]) -> int:
            tried = {name: self.sets[name].with_count(count) for name, count in counts.items()}
            return self._size_of(others | self.problem.fit_all(tried, tensors), value_bits)

        meter, rule = Meter(size_of, value_bits), self.stage.allocate
        epoch = self.state.step // self.clock.steps_per_epoch if self._updating else 0
        if self._updating and self.calibration is not None:
            shares, self.calibration = meter.estimate(judged, rule, budget, self.calibration, epoch)
        else:
            shares, self.calibration = meter.exact(judged, rule, budget, self.calibration, epoch)
        return shares

    def _size_of(self, codes: Mapping[str, Code], value_bits: int) -> int:
        promises = self.promised | self.sets
        whole = {name: joined_code(code, promises[name], self.parts.get(name)) for name, code in codes.items()}
        return self._size_of_whole(whole, value_bits)

    def _size_of_whole(self, codes: Mapping[str, Code], value_bits: int) -> int:
        if self._measure is None:
            raise PlanError("a budget of bytes needs the whole file: carry the stage out in a tighten.Session")
        promises = dict(self.sets)
        for name in self._open:
            if isinstance(code := codes[name], Sparse):
                promises[name] = self.sets[name].with_count(max(1, int(code.grid.sum())))
        return planned_size(self._measure, codes, self.promised | promises, value_bits)

    def _promises(self, codes: Mapping[str, Code]) -> dict[str, Set]:
        """The sets of this stage, open counts filled in by what was kept."""
        promises = dict(self.sets)
        for name in self._open:
            if isinstance(code := codes[name], Sparse):
                promises[name] = self.sets[name].with_count(max(1, self._kept(name, code)))
        return promises

    def _kept(self, name: str, code: Sparse) -> int:
        """Kept entries of an open site, which are its units, in all processes."""
        return int(total(self.parts.get(name), code.grid.count_nonzero()))

    def _gradients(self) -> dict[str, Tensor]:
        return sites.gradients(self.model, list(self.sets))

    def _learning_rates(self) -> dict[str, float]:
        groups = () if self.optimizer is None else self.optimizer.param_groups
        rates = {id(p): group["lr"] for group in groups for p in group["params"]}
        own = sites.parameters(self.model, list(self.sets))
        return {name: float(rates[id(p)]) for name, p in own.items() if id(p) in rates}

    def _weights(self) -> dict[str, Tensor]:
        return sites.tensors(self.model, list(self.sets))

    def _rebuild(self) -> None:
        holds = Hold.all_of({name: code for name, code in self.held.items() if name not in self.sets})
        for name in self.sets if not self.stage.method.minds_zeros else ():
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
        if not open_sites and stage.budget.bytes is None:
            raise PlanError("the stage has a budget, but no set is open to it: use Sparse() without a count")
        stage.budget.check({n: p.numel() for n, p in sites.parameters(model, open_sites).items()})
    parts = sites.parts(model, list(sets))
    probe = Problem(dict, sets, lambda *_: {}, Clock(1, 1), dict, parts)
    for name, constraint in sets.items():
        if not constraint.is_open:
            probe.fit_all({name: constraint}, {name: torch.zeros_like(weights[name])})


def check_promise(name: str, promise: Set, code: Code, part: Part | None) -> None:
    """Nothing, where a code is in the set that was promised, in every process.

    Raises:
        ConstraintError: it is not.
    """
    wrong = promise.violations(code) if part is None else promise.violations(code, part)
    shared = [] if part is None else [part]
    if anywhere(shared, bool(wrong)):
        raise ConstraintError(f"'{name}' is not in {promise!r}: {wrong[0] if wrong else 'in another process'}")


def inside(promise: Set | None, constraint: Set) -> Set:
    """The constraint, kept inside the support that an earlier stage promised."""
    support = promise.support if isinstance(promise, Intersection) else promise
    if isinstance(constraint, LevelSet) and isinstance(support, SupportSet):
        return support & constraint
    return constraint
