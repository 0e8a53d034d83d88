"""One stage trained to its end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from tighten.attach import ActiveStage
from tighten.engine.average import Average
from tighten.engine.batch_norm import EXAMPLES, reestimate
from tighten.engine.events import Epoch
from tighten.engine.trainer import Trainer
from tighten.recipes import StageTable

Pending = dict[str, Any]
"""What a checkpoint within a stage needs beside the model and the session."""


def train_stage(
    trainer: Trainer,
    stage: ActiveStage,
    table: StageTable,
    pending: Pending | None,
    keep: Callable[[Epoch, Pending | None], None],
) -> float:
    """The epochs of a stage that are still to be done; the validation accuracy at its end.

    Args:
        trainer: the model and its data.
        stage: of the session.
        table: how it is trained.
        pending: where to go on within the stage; None at its start.
        keep: told of each finished epoch, with what a checkpoint needs; None after the last one.
    """
    optimizer = trainer.optimizer(trainer.model, table.learning_rate)
    scheduler = stage.scheduler(optimizer)
    average = Average(trainer.model, table.average, stage.epochs * trainer.steps_per_epoch)
    parts: dict[str, Any] = {"optimizer": optimizer, "scheduler": scheduler, "average": average}
    if pending is not None:
        for name, part in parts.items():
            part.load_state_dict(pending[name])
        # A stage that is tried again may have another learning rate than the checkpoint.
        scheduler.base_lrs = [table.learning_rate for _ in optimizer.param_groups]
        for group in optimizer.param_groups:
            group |= {"lr": table.learning_rate * stage.learning_rate_factor, "initial_lr": table.learning_rate}
    wrapped = trainer.processes.accelerator.prepare_optimizer(optimizer)
    trainer.listener.stage(str(stage), table.epochs, trainer.steps_per_epoch, stage.start_epoch)
    with stage.attached(optimizer) as solver:
        # After the stage's own hook: what is averaged is held.
        hook = optimizer.register_step_post_hook(lambda *_: average.after_step(solver.state.step))
        for number in range(stage.start_epoch + 1, stage.epochs + 1):
            if stage.converged:
                trainer.listener.note(f"{stage} converged after {number - 1} of {stage.epochs} epochs")
                break
            epoch = trainer.epoch(str(stage), number, table, wrapped, scheduler)
            state = solver.state
            epoch = replace(
                epoch,
                rho=state.rho,
                primal=max(state.primal.values(), default=0.0),
                dual=max(state.dual.values(), default=0.0),
                residuals={name: (primal, state.dual[name]) for name, primal in state.primal.items()},
            )
            within = {name: part.state_dict() for name, part in parts.items()}
            keep(epoch, within if number < stage.epochs else None)
        hook.remove()
        average.put_into(trainer.model)
    if stage.solver.stage.method.commits:
        with trainer.processes.together():
            reestimate(trainer.model, trainer.inputs(EXAMPLES, table.augment))
        trainer.processes.share_buffers(trainer.model)
    found = trainer.accuracy(trainer.data.validation)
    trainer.listener.note(f"{stage} ended: validation {found:.2f} %")
    return found
