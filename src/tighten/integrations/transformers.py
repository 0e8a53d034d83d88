"""The Trainer of transformers: a whole plan in one call of `train`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from tighten.errors import TrainingError
from tighten.integrations.course import Course
from tighten.integrations.extras import needed
from tighten.session import Session

with needed("transformers"):
    from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

FILE = "tighten.pt"
"""What a checkpoint folder of the Trainer gets."""


class Tighten(TrainerCallback):
    """A session carried out in `Trainer(..., callbacks=[Tighten(session)])`.

    Afterwards `session.save(path)` writes the network. The pull joins the gradients after accumulation, unscaling
    and clipping; each checkpoint folder gets a file `tighten.pt`, so that `train(resume_from_checkpoint=...)` goes on.

    Args:
        session: of the Trainer's model.
        curve: whether the learning rates follow the curve of each stage, on top of the Trainer's own scheduler;
            `lr_scheduler_type="constant"` leaves the curve alone.
        resume: the checkpoint folder that is resumed from, if it does not lie in the Trainer's output folder.
    """

    def __init__(self, session: Session, *, curve: bool = True, resume: str | Path | None = None) -> None:
        self.course = Course(session, curve)
        self.resume = resume

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """The first stage begins, or the one that a checkpoint was taken in.

        Raises:
            PlanError: the Trainer's steps or epochs are not those of the session.
            TrainingError: the checkpoint lacks the session's part.
        """
        in_epoch = -(-state.max_steps // state.num_train_epochs)
        self.course.check(in_epoch, state.num_train_epochs)
        if state.global_step:
            self._load(args, state)
        self.course.begin(kwargs["optimizer"], state.global_step // in_epoch)

    def on_epoch_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """The next stage begins where one is over; the training stops with the plan."""
        if self.course.end_epoch(round(state.epoch)):
            control.should_training_stop = True

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """The last stage ends."""
        self.course.end(int(state.epoch + 1e-6))

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """The session's part of a checkpoint."""
        if state.is_world_process_zero:
            torch.save(self.course.state_dict(), self._folder(args, state) / FILE)

    def _load(self, args: TrainingArguments, state: TrainerState) -> None:
        path = (self._folder(args, state) if self.resume is None else Path(self.resume)) / FILE
        if not path.is_file():
            raise TrainingError(f"the checkpoint lacks '{path}': name its folder, Tighten(session, resume=FOLDER)")
        self.course.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))

    @staticmethod
    def _folder(args: TrainingArguments, state: TrainerState) -> Path:
        return Path(args.output_dir or ".") / f"checkpoint-{state.global_step}"
