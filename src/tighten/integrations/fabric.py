"""Lightning Fabric: the session of a model that was set up."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import nn

from tighten.integrations.course import steps
from tighten.integrations.extras import needed
from tighten.plan import Stage
from tighten.session import Session

with needed("lightning"):
    from lightning.fabric.wrappers import is_wrapped


def session(model: nn.Module, plan: Sequence[Stage], loader: Any, *, accumulate: int = 1, **settings: Any) -> Session:
    """The session for a loop of Fabric, which stays as it is: `with stage.attached(optimizer):` knows its way
    through an optimizer that was set up, and `stage.scheduler(optimizer)` goes by its steps.

    For checkpoints give the session to `fabric.save` as part of the state: it has the two methods that it takes.

    Args:
        model: set up or not.
        plan: what is to be done.
        loader: of the training data.
        accumulate: batches in one optimizer step.
        settings: more of `Session`'s own.
    """
    plain = model.module if is_wrapped(model) else model
    assert isinstance(plain, nn.Module)
    return Session(plain, plan, steps_per_epoch=steps(len(loader), accumulate) or 0, **settings)
