"""The dense network: trained once, kept for every later run that starts from the same."""

from __future__ import annotations

import hashlib
from pathlib import Path

import torch

from tighten.engine import checkpoint
from tighten.engine.evaluate import accuracy
from tighten.engine.precision import Precision
from tighten.engine.trainer import Trainer
from tighten.recipes import Recipe
from tighten.schedules import cosine


def dense_network(trainer: Trainer, recipe: Recipe, seed: int, folder: Path) -> bool:
    """The trainer's model, trained without constraints, or taken from `folder`: was it taken from there?

    What is kept is found again by model, data, training settings and seed. A killed training goes on at its
    last epoch. A model that already holds trained weights of a file is left as it is.
    """
    if recipe.dense.weights is not None:
        found = accuracy(trainer.model, trainer.data.validation)
        trainer.listener.note(f"dense network read from {recipe.dense.weights}: validation {found:.2f} %")
        return False
    path = folder / f"{recipe.model.rpartition(':')[2].lower()}-{_key(recipe, trainer.precision, seed)}.pt"
    optimizer = trainer.optimizer(trainer.model, recipe.dense.learning_rate)
    steps = trainer.steps_per_epoch * recipe.dense.epochs
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: cosine(step / steps))
    first = 0
    if path.exists():
        state = checkpoint.load(path, trainer.accelerator.device)
        trainer.model.load_state_dict(state["model"])
        first = state["epoch"]
        if first == recipe.dense.epochs:
            return True
        optimizer.load_state_dict(state["optimizer"])
        scheduler.load_state_dict(state["scheduler"])
        trainer.generator.set_state(state["generator"].cpu())
        torch.set_rng_state(state["torch"].cpu())
    trainer.listener.stage("dense", recipe.dense.epochs, trainer.steps_per_epoch, first)
    for number in range(first + 1, recipe.dense.epochs + 1):
        trainer.listener.epoch(trainer.epoch("dense", number, recipe.dense, optimizer, scheduler))
        state = {"epoch": number, "model": trainer.model.state_dict()}
        if number < recipe.dense.epochs:
            state |= {
                "optimizer": optimizer.state_dict(),
                "scheduler": scheduler.state_dict(),
                "generator": trainer.generator.get_state(),
                "torch": torch.get_rng_state(),
            }
        checkpoint.save(path, state)
    return False


def _key(recipe: Recipe, precision: Precision, seed: int) -> str:
    fields = recipe.model_dump(
        include={"model", "data", "data_settings", "validation", "batch_size", "optimizer", "augment"}
    )
    return hashlib.sha256(repr((fields, precision, recipe.dense.model_dump(), seed)).encode()).hexdigest()[:12]
