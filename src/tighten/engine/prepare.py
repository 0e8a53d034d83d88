"""What a recipe names, made: the data, the model and the trainer around them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from tighten.data import ImageData
from tighten.engine.augmentation import augmentation
from tighten.engine.distillation import matching
from tighten.engine.events import Listener
from tighten.engine.precision import resolve
from tighten.engine.pretrained import Pretrained
from tighten.engine.processes import Processes
from tighten.engine.trainer import Trainer
from tighten.errors import RecipeError
from tighten.imports import call_named, load_named
from tighten.recipes import Recipe


def prepare(
    recipe: Recipe,
    *,
    root: Path | None,
    download: bool,
    seed: int,
    listener: Listener,
    processes: Processes | None = None,
) -> Trainer:
    """The trainer of a recipe; its model is new, or holds the trained weights that the recipe names.

    Args:
        recipe: names the data, the model and the optimizer.
        root: folder of the data set.
        download: fetch the data set where it is missing.
        seed: of all chance.
        listener: hears of progress.
        processes: that work together; None: this one, and those that a launcher started with it.

    Raises:
        TightenError: a name leads nowhere or to something else, or the data or weights are missing or damaged.
    """
    processes = processes or Processes()
    chance = {"validation": recipe.validation, "seed": seed}
    for turn in (True, False):  # one of a machine may have to fetch the data, the others find it there
        with processes.together():
            if processes.accelerator.is_local_main_process is turn:
                data = load_data(recipe.data, recipe.data_settings, root, download=download and turn, **chance)
    with processes.together():
        model = _model(recipe, seed)
        _optimizer(recipe, model, 1e-3)  # what cannot be made is told before anything is trained
        for distill in (*(stage.distill for stage in recipe.stages), recipe.shrink.distill):
            if distill is not None:
                matching(model, distill.features)
        augment = augmentation(recipe.augment, data)
    if processes.device.type != "cpu":
        data = data.to(processes.device)
    return Trainer(
        model=model.to(processes.device).to(memory_format=torch.channels_last),  # type: ignore[call-overload]
        data=data,
        processes=processes,
        batch_size=recipe.batch_size,
        generator=torch.Generator().manual_seed(seed),
        augment=augment,
        optimizer=lambda net, learning_rate: _optimizer(recipe, net, learning_rate),
        listener=listener,
        precision=resolve(recipe.precision, processes.device),
    )


def _model(recipe: Recipe, seed: int) -> nn.Module:
    weights = None if recipe.dense.weights is None else Pretrained.open(Path(recipe.dense.weights))
    torch.manual_seed(seed)
    model = call_named(recipe.model, "model")
    if not isinstance(model, nn.Module):
        raise RecipeError(f"the model '{recipe.model}' makes a {type(model).__name__}, not a torch.nn.Module")
    if weights is not None:
        weights.load_into(model)
    return model


def _optimizer(recipe: Recipe, net: nn.Module, learning_rate: float) -> torch.optim.Optimizer:
    kind = load_named(recipe.optimizer, "optimizer")
    try:
        made = kind(net.parameters(), lr=learning_rate, **recipe.optimizer_settings)
    except (TypeError, ValueError) as error:
        raise RecipeError(
            f"the optimizer '{recipe.optimizer}' cannot be made with {recipe.optimizer_settings}: {error}"
        ) from error
    if not isinstance(made, torch.optim.Optimizer):
        raise RecipeError(f"the optimizer '{recipe.optimizer}' is a {type(made).__name__}: name one of torch.optim")
    return made


def load_data(path: str, settings: Mapping[str, Any], root: Path | None, *, download: bool, **chance: int) -> ImageData:
    """The data at an import path.

    Args:
        path: of a function such as `tighten.data:cifar10`.
        settings: of its own, such as `{"normalize": "imagenet"}`.
        root: folder of the data set.
        download: fetch the data set where it is missing.
        chance: `validation` and `seed`, or nothing where only the test examples are wanted.

    Raises:
        RecipeError: the path leads nowhere or to something else, or the settings are not its own.
        DataError: the data is missing or damaged.
    """
    if taken := sorted({"root", "download", "validation", "seed"} & set(settings)):
        raise RecipeError(f"data_settings cannot hold '{taken[0]}', which is said elsewhere: remove it")
    data = call_named(path, "data", root, download=download, **chance, **settings)
    if not isinstance(data, ImageData):
        raise RecipeError(f"the data '{path}' gives a {type(data).__name__}, not a tighten.data.ImageData")
    return data
