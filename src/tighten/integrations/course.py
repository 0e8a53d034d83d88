"""The stages of a session, one after the other, inside a fit that a trainer leads."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import torch

from tighten.attach import CLOSURE, ActiveStage, innermost
from tighten.errors import PlanError, TrainingError
from tighten.session import Session

Arguments = tuple[tuple[Any, ...], dict[str, Any]]


class Course:
    """A session in one fit: one optimizer, stages that follow each other at the ends of epochs.

    A trainer that runs its backward pass inside `step(closure)` is served too, as long as the closure is called
    once a step: the pull joins the gradients when it returns, clipped or not.

    Args:
        session: what is to be done.
        curve: whether the learning rates follow the curve of each stage. The factor is put on the optimizer's
            learning rates for the moment of a step and taken off again, so that a scheduler of the user's own is
            not disturbed: both factors count.
    """

    def __init__(self, session: Session, curve: bool = True) -> None:
        self.session = session
        self.curve = curve
        self._first = 0
        self._saved: Mapping[str, Any] | None = None
        self._stage: ActiveStage | None = None
        self._optimizer: torch.optim.Optimizer | None = None
        self._hooks: list[torch.utils.hooks.RemovableHandle] = []
        self._rates: list[Any] = []

    def check(self, steps_per_epoch: int | None, epochs: int | None) -> None:
        """Nothing, where the fit is one that the session can be carried out in.

        Args:
            steps_per_epoch: optimizer steps in one epoch of the fit; None if that is not known.
            epochs: of the whole fit; None for no limit.

        Raises:
            PlanError: the session was told other steps, or the epochs are too few.
        """
        told, needed = self.session.steps_per_epoch, self.session.plan.epochs
        if steps_per_epoch is not None and steps_per_epoch != told:
            raise PlanError(
                f"an epoch of this fit has {steps_per_epoch} optimizer steps, the session was told {told}: "
                f"make it with Session(..., steps_per_epoch={steps_per_epoch})"
            )
        if epochs is not None and epochs < needed:
            raise PlanError(f"the plan takes {needed} epochs, the fit only {epochs}: give it {needed} epochs")

    def begin(self, optimizer: torch.optim.Optimizer, done: int) -> None:
        """The first stage, or the one that a checkpoint was taken in, attached to the optimizer.

        Args:
            optimizer: the only one of the fit.
            done: epochs that the fit has behind it, more than zero after a resume.

        Raises:
            TrainingError: the optimizer cannot be used.
        """
        optimizer = innermost(optimizer)
        if isinstance(optimizer, torch.optim.LBFGS):
            raise TrainingError(CLOSURE)
        if self._saved is None:
            self._first = done
        else:
            self.session.load_state_dict(self._saved["session"])
            self._first, self._saved = self._saved["first"], None
        self._optimizer = optimizer
        self._next()
        self._hooks = [
            optimizer.register_step_pre_hook(self._before),
            optimizer.register_step_post_hook(self._after),
        ]
        # A checkpoint of the very last step of a stage was taken before anybody could say that its epoch ended.
        self.end_epoch(done)

    def end_epoch(self, done: int) -> bool:
        """The end of an epoch, and of the stage if it was its last one: is the plan done?

        The last stage is left open until `end`: what is done to the weights until then, such as putting their
        average in, still counts.

        Args:
            done: epochs of the fit, this one included.
        """
        stage = self._stage
        if stage is None or not (done - self._first >= stage.epochs or (stage.converged and done > self._first)):
            return False
        if stage.index + 1 == len(self.session.plan):
            return True
        stage.finish()
        self._first = done
        self._next()
        return False

    def end(self, done: int) -> None:
        """The end of the fit: the last stage ends, the optimizer is as it was."""
        complete = self.end_epoch(done)
        stage = self._stage
        self.release()
        if stage is not None and complete:
            stage.finish()
        elif stage is not None:
            warnings.warn(
                f"the fit ended in stage '{stage}' after {done - self._first} of its {stage.epochs} epochs: "
                f"the network is not compressed yet, go on from a checkpoint",
                stacklevel=2,
            )

    def release(self) -> None:
        """The optimizer without hooks, its learning rates as they were; the stage stays open."""
        for hook in self._hooks:
            hook.remove()
        self._restore_rates()
        self._hooks, self._stage = [], None

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint needs beside the model, the optimizer and the trainer's own state, as plain data."""
        return {"session": self.session.state_dict(), "first": self._first}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where `state_dict` was taken; done in `begin`, when the model is loaded and in its place."""
        self._saved = state

    def _next(self) -> None:
        self._stage = next(iter(self.session), None)
        if self._stage is not None and self._optimizer is not None:
            self._stage.check_optimizer(self._optimizer)

    def _before(self, optimizer: torch.optim.Optimizer, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Arguments:
        stage = self._stage
        assert stage is not None
        if self.curve:
            self._restore_rates()
            self._rates = [group["lr"] for group in optimizer.param_groups]
            for group in optimizer.param_groups:
                group["lr"] = group["lr"] * stage.learning_rate_factor
        # torch passes the optimizer itself as the first positional argument
        rest = args[1:] if args and args[0] is optimizer else args
        closure = kwargs.get("closure", rest[0] if rest else None)
        if closure is None:
            stage.before_step(optimizer)
            return args, kwargs
        return (optimizer,), {**kwargs, "closure": _with_pull(closure, stage, optimizer)}

    def _after(self, optimizer: torch.optim.Optimizer, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        assert self._stage is not None
        self._restore_rates()
        self._stage.after_step(optimizer)

    def _restore_rates(self) -> None:
        if self._optimizer is not None and self._rates:
            for group, rate in zip(self._optimizer.param_groups, self._rates, strict=True):
                group["lr"] = rate
        self._rates = []


def steps(batches: float, accumulated: int) -> int | None:
    """Optimizer steps in an epoch of so many batches; None where there is no end of them."""
    return None if math.isinf(batches) else math.ceil(batches / accumulated)


def _with_pull(closure: Callable[[], Any], stage: ActiveStage, optimizer: torch.optim.Optimizer) -> Callable[[], Any]:
    called = False

    def pulled() -> Any:
        nonlocal called
        if called:
            raise TrainingError(CLOSURE)
        called = True
        loss = closure()
        stage.before_step(optimizer)
        return loss

    return pulled
