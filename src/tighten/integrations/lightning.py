"""Lightning's Trainer: a whole plan in one fit."""

from __future__ import annotations

from typing import Any

from tighten.errors import TrainingError
from tighten.integrations.course import Course, steps
from tighten.integrations.extras import needed
from tighten.session import Session

with needed("lightning"):
    from lightning.pytorch import Callback, LightningModule, Trainer


class Tighten(Callback):
    """A session carried out in `Trainer(callbacks=[Tighten(session)], max_epochs=session.plan.epochs)`.

    Afterwards `session.save(path)` writes the network. The pull joins the gradients after accumulation, unscaling
    and clipping; checkpoints of the trainer hold the session, so that `fit(..., ckpt_path=...)` goes on.

    Args:
        session: of the LightningModule or of a module inside it.
        curve: whether the learning rates follow the curve of each stage, on top of a scheduler if there is one.
    """

    def __init__(self, session: Session, *, curve: bool = True) -> None:
        self.course = Course(session, curve)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """The first stage begins.

        Raises:
            TrainingError: the module has several optimizers.
            PlanError: the trainer's steps or epochs are not those of the session.
        """
        if len(trainer.optimizers) != 1:
            raise TrainingError(
                f"the module has {len(trainer.optimizers)} optimizers: tighten works with one; in manual optimization "
                f"use `with stage.attached(optimizer):` for the one that holds the weights"
            )
        counted = pl_module.automatic_optimization
        in_epoch = steps(trainer.num_training_batches, trainer.accumulate_grad_batches) if counted else None
        limit = trainer.max_epochs
        self.course.check(in_epoch, None if limit is None or limit < 0 else limit)
        self.course.begin(trainer.optimizers[0], trainer.current_epoch)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """The next stage begins where one is over; the fit stops with the plan."""
        if self.course.end_epoch(trainer.current_epoch + 1):
            trainer.should_stop = True

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """The last stage ends."""
        self.course.end(trainer.current_epoch)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """The optimizer is set free."""
        self.course.release()

    def state_dict(self) -> dict[str, Any]:
        """What the trainer's checkpoints hold of the session."""
        return self.course.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """What a checkpoint held of the session."""
        self.course.load_state_dict(state_dict)
