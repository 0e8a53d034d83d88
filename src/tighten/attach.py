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

CLOSURE = (
    "optimizer.step(closure) runs the backward pass inside the step, too late for the constraint: "
    "call loss.backward() first and step() without a closure, or use SGD or Adam instead of LBFGS"
)


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

        For ADMM it starts anew at each update of Z, for retraining it falls once along a cosine. It goes by the
        optimizer steps of the stage, not by its own calls: one after a skipped step, or too many, change nothing.
        """
        return LambdaLR(innermost(optimizer), lambda _: self.learning_rate_factor)

    @property
    def learning_rate_factor(self) -> float:
        """The factor on the base learning rate that suits the next optimizer step."""
        return self.solver.stage.method.learning_rate_factor(self.solver.state.step, self.solver.clock)

    @contextmanager
    def attached(self, optimizer: torch.optim.Optimizer) -> Iterator[Solver]:
        """The optimizer's steps made constrained: the pull joins the gradients before each, the sets are held after.

        Leaving the block without an error ends the stage: the weights are put on their sets and checked.

        Args:
            optimizer: any that calls no closure, also inside the wrapper of Accelerate or Fabric; it must hold all
                parameters of the stage's sites.

        Raises:
            TrainingError: the optimizer lacks a parameter, is given a closure, or made no step.
            ConstraintError: the weights are not in their sets at the end.
        """
        optimizer = innermost(optimizer)
        self.check_optimizer(optimizer)
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

    def before_step(self, optimizer: torch.optim.Optimizer) -> None:
        """The first of the two moments: gradients are complete, weights have not yet moved."""
        self.solver.optimizer = optimizer
        # fused optimizers under a gradient scaler still see scaled gradients here
        scale = getattr(optimizer, "grad_scale", None)
        self.solver.before_step(1.0 if scale is None else scale)

    def after_step(self, optimizer: torch.optim.Optimizer) -> None:
        """The second of the two moments: the weights have moved, unless a gradient scaler found an overflow."""
        overflow = getattr(optimizer, "found_inf", None)
        if overflow is not None and bool(overflow):
            self.solver.undo_step()
        else:
            self.solver.after_step()

    def check_optimizer(self, optimizer: torch.optim.Optimizer) -> None:
        """Nothing, where the optimizer can be attached.

        Raises:
            TrainingError: it is none, or lacks a parameter.
        """
        if not isinstance(optimizer, torch.optim.Optimizer):
            found = type(optimizer).__name__
            raise TrainingError(f"'{found}' is no torch.optim.Optimizer: attach the optimizer itself")
        held = {id(p) for group in optimizer.param_groups for p in group["params"]}
        for name, parameter in sites.parameters(self.solver.model, list(self.solver.sets)).items():
            if id(parameter) not in held:
                raise TrainingError(
                    f"the optimizer does not hold '{name}', which stage '{self}' constrains: "
                    f"make it from model.parameters() of the session's model"
                )

    def _before(self, optimizer: torch.optim.Optimizer, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        # torch passes the optimizer itself as the first positional argument
        closure = kwargs.get("closure", next((a for a in args if a is not optimizer), None))
        if closure is not None:
            raise TrainingError(CLOSURE)
        self.before_step(optimizer)

    def _after(self, optimizer: torch.optim.Optimizer, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.after_step(optimizer)


def innermost(optimizer: torch.optim.Optimizer) -> torch.optim.Optimizer:
    """The optimizer that makes the steps, out of the wrappers that Accelerate and Fabric put around it.

    An optimizer of its own that drives another one is not looked into: its own step is what counts.
    """
    while "_optimizer_step_pre_hooks" not in getattr(optimizer, "__dict__", {}):
        inner = getattr(optimizer, "optimizer", None)
        if not isinstance(inner, torch.optim.Optimizer):
            break
        optimizer = inner
    return optimizer
