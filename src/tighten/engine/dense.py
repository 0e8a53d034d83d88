"""The dense network: trained once, kept for every later run that starts from the same."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from tighten.engine import checkpoint
from tighten.engine.precision import Precision
from tighten.engine.trainer import Trainer
from tighten.recipes import Recipe
from tighten.schedules import cosine


@dataclass(frozen=True)
class Dense:
    """How the dense network was come by.

    Args:
        found: whether it was trained before, in another run.
        history: its epochs as plain data; empty where it was read from a file of trained weights.
    """

    found: bool
    history: list[dict[str, Any]]


def dense_network(trainer: Trainer, recipe: Recipe, seed: int, folder: Path) -> Dense:
    """The trainer's model, trained without constraints, or taken from `folder`.

    What is kept is found again by model, data, training settings and seed. A killed training goes on at its
    last epoch. A model that already holds trained weights of a file is left as it is.
    """
    if recipe.dense.weights is not None:
        found = trainer.accuracy(trainer.data.validation)
        trainer.listener.note(f"dense network read from {recipe.dense.weights}: validation {found:.2f} %")
        return Dense(False, [])
    path = folder / f"{recipe.model.rpartition(':')[2].lower()}-{_key(recipe, trainer.precision, seed)}.pt"
    optimizer = trainer.optimizer(trainer.model, recipe.dense.learning_rate)
    steps = trainer.steps_per_epoch * recipe.dense.epochs
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: cosine(step / steps))
    first, history = 0, []
    state = trainer.processes.first(lambda: checkpoint.load(path, trainer.listener.note))
    if state is not None:
        trainer.model.load_state_dict(state["model"])
        # Older files hold no history.
        first, history = state["epoch"], state.get("history", [])
        if first == recipe.dense.epochs:
            return Dense(True, history)
        optimizer.load_state_dict(state["optimizer"])
        scheduler.load_state_dict(state["scheduler"])
        trainer.generator.set_state(state["generator"])
        torch.set_rng_state(state["torch"])
    trainer.listener.stage("dense", recipe.dense.epochs, trainer.steps_per_epoch, first)
    for number in range(first + 1, recipe.dense.epochs + 1):
        epoch = trainer.epoch("dense", number, recipe.dense, optimizer, scheduler)
        history.append(asdict(epoch))
        trainer.listener.epoch(epoch)
        state = {"epoch": number, "model": trainer.model.state_dict(), "history": history}
        if number < recipe.dense.epochs:
            state |= {
                "optimizer": optimizer.state_dict(),
                "scheduler": scheduler.state_dict(),
                "generator": trainer.generator.get_state(),
                "torch": torch.get_rng_state(),
            }
        trainer.processes.first(partial(checkpoint.save, path, state))
    return Dense(False, history)


def _key(recipe: Recipe, precision: Precision, seed: int) -> str:
    fields = recipe.model_dump(
        include={"model", "data", "data_settings", "validation", "batch_size", "optimizer", "augment"}
    )
    if recipe.optimizer_settings:  # left out otherwise: networks of older runs are found again
        fields["optimizer_settings"] = recipe.optimizer_settings
    return hashlib.sha256(repr((fields, precision, recipe.dense.model_dump(), seed)).encode()).hexdigest()[:12]
