"""A budget shared among the sites of a recipe's dense network, before any compression."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tighten import sites
from tighten.allocation import Allocation, Budget, Shares, fisher
from tighten.data import batches
from tighten.engine.dense import dense_network
from tighten.engine.events import Listener
from tighten.engine.prepare import prepare
from tighten.engine.run import planned_facts
from tighten.engine.sharing import ByRule, ByTradeoff, file_size
from tighten.engine.trainer import Trainer
from tighten.errors import PlanError, RunError
from tighten.recipes import Recipe
from tighten.sensing import foreseen

STEPS = 16


def allocate(
    recipe: Recipe,
    budget: Budget,
    rule: Allocation | None = fisher,
    *,
    folder: Path,
    root: Path | None = None,
    download: bool = False,
    seed: int | None = None,
    weights: Path | None = None,
    steps: int = STEPS,
    listener: Listener | None = None,
) -> Shares:
    """The shares of a budget, by the dense network's weights and the gradients that `foreseen` finds.

    Shared among are the sites of the first stage that has a budget or shares; all weights where none has. A
    budget of bytes is that of the file which the dense network would give if it were put on its sets at once.

    Args:
        recipe: names model, data and dense training; its stages are not carried out.
        budget: what may be spent.
        rule: shares the budget; None for `rate_distortion`, which chooses the bits per value too.
        folder: where dense networks are kept.
        root, download, seed, weights, listener: as for `run`.
        steps: training batches in each round of foresight.

    Raises:
        TightenError: the budget cannot be met, or the network cannot be made.
    """
    if rule is None and budget.bits is None and budget.bytes is None:
        raise PlanError("rate-distortion chooses bits per value too, so its budget is one of bits or bytes: give these")
    if weights is not None:
        recipe = recipe.starting_from(str(weights))
    seed = recipe.seed if seed is None else seed
    trainer = prepare(recipe, root=root, download=download, seed=seed, listener=listener or Listener())
    if trainer.processes.count > 1:
        raise RunError("budgets are shared in one process: start `tighten allocate` without a launcher")
    names = _names(recipe, trainer.model)
    if rule is not None:
        budget.check({name: w.numel() for name, w in sites.tensors(trainer.model, names).items()})
    if dense_network(trainer, recipe, seed, folder).found:
        trainer.listener.note(f"dense network taken from {folder}")
    size_of = file_size(trainer.model, planned_facts(recipe))
    sharing = ByTradeoff(budget, size_of) if rule is None else ByRule(budget, size_of, rule)
    stream = _batches(trainer, seed, recipe.dense.augment)
    found = foreseen(trainer.model, names, stream, F.cross_entropy, sharing.roughly, steps)
    return sharing.exactly(found)


def _names(recipe: Recipe, model: nn.Module) -> list[str]:
    for table in recipe.stages:
        chosen = sites.select(model, table.stage().sets)
        if table.budget is not None:
            return [name for name, s in chosen.items() if s.is_open]
        if table.shares is not None:
            return list(chosen)
    return sites.weights(model)


def _batches(trainer: Trainer, seed: int, augment: bool) -> Iterator[tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(seed)
    while True:
        changed = trainer.augment if augment else None
        for inputs, targets in batches(trainer.data.train, trainer.batch_size, generator, changed):
            yield inputs.to(trainer.device), targets.to(trainer.device)
