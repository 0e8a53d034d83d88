"""What a recipe names, made: the data, the model and the trainer around them."""

from __future__ import annotations

from pathlib import Path

import torch
from accelerate import Accelerator
from torch import nn

from tighten.data import ImageData
from tighten.engine.augmentation import augmentation
from tighten.engine.events import Listener
from tighten.engine.trainer import Trainer
from tighten.errors import RecipeError, RunError
from tighten.imports import call_named, load_named
from tighten.recipes import Recipe


def prepare(recipe: Recipe, *, root: Path | None, download: bool, seed: int, listener: Listener) -> Trainer:
    """The trainer of a recipe, its model new and not yet trained.

    Args:
        recipe: names the data, the model and the optimizer.
        root: folder of the data set.
        download: fetch the data set where it is missing.
        seed: of all chance.
        listener: hears of progress.

    Raises:
        TightenError: a name leads nowhere or to something else, or the data is missing or damaged.
    """
    settings = {"validation": recipe.validation, "download": download, "seed": seed}
    data = call_named(recipe.data, "data", root, **settings)
    if not isinstance(data, ImageData):
        raise RecipeError(f"the data '{recipe.data}' gives a {type(data).__name__}, not a tighten.data.ImageData")
    torch.manual_seed(seed)
    accelerator = Accelerator(mixed_precision="bf16" if recipe.precision == "bf16" else "no")
    if accelerator.num_processes > 1:
        raise RunError("`tighten` works in one process: start it without a launcher")
    model = call_named(recipe.model, "model")
    if not isinstance(model, nn.Module):
        raise RecipeError(f"the model '{recipe.model}' makes a {type(model).__name__}, not a torch.nn.Module")
    model = model.to(accelerator.device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    kind = load_named(recipe.optimizer, "optimizer")
    return Trainer(
        model=model,
        data=data,
        accelerator=accelerator,
        batch_size=recipe.batch_size,
        generator=torch.Generator().manual_seed(seed),
        augment=augmentation(recipe.augment, data),
        optimizer=lambda net, learning_rate: kind(net.parameters(), lr=learning_rate),
        listener=listener,
    )
