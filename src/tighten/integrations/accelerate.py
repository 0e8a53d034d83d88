"""Accelerate: the session of a prepared model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from accelerate import Accelerator
from torch import nn

from tighten.integrations.course import steps
from tighten.plan import Stage
from tighten.session import Session


def session(accelerator: Accelerator, model: nn.Module, plan: Sequence[Stage], loader: Any, **settings: Any) -> Session:
    """The session for a loop of Accelerate, which stays as it is: `with stage.attached(optimizer):` knows its way
    through a prepared optimizer, and `stage.scheduler(optimizer)` goes by its steps, skipped ones left out.

    The session is registered for checkpointing: `accelerator.save_state` and `load_state` keep it.

    Args:
        accelerator: its gradient accumulation counts.
        model: prepared or not.
        plan: what is to be done.
        loader: the prepared loader of the training data.
        settings: more of `Session`'s own.
    """
    in_epoch = steps(len(loader), accelerator.gradient_accumulation_steps)
    made = Session(accelerator.unwrap_model(model), plan, steps_per_epoch=in_epoch or 0, **settings)
    accelerator.register_for_checkpointing(made)
    return made
