"""A stage in the user's hands: attached to an optimizer, it works by itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.optim.lr_scheduler import LambdaLR

from tighten import sites
from tighten.codes import Code
from tighten.errors import PlanError, TrainingError
from tighten.sets import Set
from tighten.solver import Solver


class ActiveStage:
    """One stage of a session at work.

    Args:
        solver: the stage's constraint side.
        index: its place in the plan, from zero.
        finish: called with the codes and promises when the stage ends.
    """

    def __init__(self, solver: Solver, index: int, finish: Callable[[dict[str, Code], dict[str, Set]], None]) -> None:
        self.solver = solver
        self.index = index
        self.finished = False
        self._finish = finish

    def __str__(self) -> str:
        return str(self.solver.stage)

    @property
    def epochs(self) -> int:
        """All epochs of the stage."""
        return self.solver.stage.epochs

    @property
    def start_epoch(self) -> int:
        """Epochs already done; more than zero only after a resume."""
        return self.solver.state.step // self.solver.clock.steps_per_epoch

    @property
    def converged(self) -> bool:
        """Whether the stage may end before all its epochs: its method was told when, such as `Admm(until=0.03)`."""
        return self.solver.stage.method.converged(self.solver.state)

    def scheduler(self, optimizer: torch.optim.Optimizer) -> LambdaLR:
        """The learning-rate curve that suits the method; call its `step()` after each optimizer step.

        For ADMM it starts anew at each update of Z, for retraining it falls once along a cosine.
        """
        done = self.solver.state.step
        method, clock = self.solver.stage.method, self.solver.clock
        return LambdaLR(optimizer, lambda step: method.learning_rate_factor(done + step, clock))

    @contextmanager
    def attached(self, optimizer: torch.optim.Optimizer) -> Iterator[Solver]:
        """The optimizer's steps made constrained: the pull joins the gradients before each, the sets are held after.

        Leaving the block without an error ends the stage: the weights are put on their sets and checked.

        Args:
            optimizer: any that calls no closure; it must hold all parameters of the stage's sites.

        Raises:
            TrainingError: the optimizer lacks a parameter, is given a closure, or made no step.
            ConstraintError: the weights are not in their sets at the end.
        """
        self._check_holds(optimizer)
        before = optimizer.register_step_pre_hook(self._before)
        after = optimizer.register_step_post_hook(self._after)
        start = self.solver.state.step
        try:
            yield self.solver
        finally:
            before.remove()
            after.remove()
        # Resumed where it had converged, a stage has nothing left to do.
        if self.solver.state.step == start and start < self.solver.clock.steps and not self.converged:
            raise TrainingError(
                f"stage '{self}' made no optimizer step: step the very optimizer that was attached, "
                f"not a copy of it (copies and pickles lose their hooks)"
            )
        self.finish()

    def finish(self) -> None:
        """The stage's end: weights on their sets, checked; `attached` calls it by itself."""
        if self.finished:
            raise PlanError(f"stage '{self}' has already ended")
        codes, promises = self.solver.finish()
        self.finished = True
        self._finish(codes, promises)

    def _check_holds(self, optimizer: torch.optim.Optimizer) -> None:
        held = {id(p) for group in optimizer.param_groups for p in group["params"]}
        for name, tensor in sites.tensors(self.solver.model, list(self.solver.sets)).items():
            if id(tensor) not in held:
                raise TrainingError(
                    f"the optimizer does not hold '{name}', which stage '{self}' constrains: "
                    f"make it from model.parameters() of the session's model"
                )

    def _before(self, optimizer: torch.optim.Optimizer, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        # torch passes the optimizer itself as the first positional argument
        closure = kwargs.get("closure", next((a for a in args if a is not optimizer), None))
        if closure is not None:
            raise TrainingError(
                "optimizer.step(closure) runs the backward pass inside the step, too late for the constraint: "
                "call loss.backward() first and step() without a closure, or use SGD or Adam instead of LBFGS"
            )
        # fused optimizers under a gradient scaler still see scaled gradients here
        scale = getattr(optimizer, "grad_scale", None)
        self.solver.before_step(1.0 if scale is None else scale)

    def _after(self, optimizer: torch.optim.Optimizer, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        overflow = getattr(optimizer, "found_inf", None)
        if overflow is not None and bool(overflow):
            return
        self.solver.after_step()
