"""`tighten`: the stages of a shipped recipe in the lesson's loop."""

import itertools
from dataclasses import replace
from typing import Any

import torch
from lesson import Lesson
from torch import nn

import tighten as tt
from tighten.recipes import StageTable, load


def train(
    lesson: Lesson,
    row: dict[str, Any],
    *,
    recipe: str,
    parts: list[float],
    feedback: bool = False,
    faster: float = 1.0,
) -> nn.Module:
    """The stages with the lesson's epochs shared among them.

    Args:
        recipe: its name.
        parts: of the epochs, one for each of its stages; a stage with none is left out.
        feedback: whether stages with a budget prune with feedback, rather than by ADMM.
        faster: a factor on learning rates.
    """
    tables = load(recipe)[0].stages
    ends = [round(lesson.epochs * end / sum(parts)) for end in itertools.accumulate(parts)]
    epochs = [end - begin for begin, end in itertools.pairwise([0, *ends])]
    chosen = [(table, n) for table, n in zip(tables, epochs, strict=True) if n]
    last = max((t.budget.rate for t, _ in chosen if t.budget is not None), default=None)
    stages = [stage(table, n, row, last) for table, n in chosen]
    if feedback:
        stages = [s if s.budget is None else replace(s, method=tt.Feedback()) for s in stages]
    model = lesson.network()
    session = tt.Session(model, stages, steps_per_epoch=lesson.steps_per_epoch)
    for active, (table, _) in zip(session, chosen, strict=True):
        optimizer = torch.optim.Adam(model.parameters(), lr=faster * table.learning_rate)
        scheduler = active.scheduler(optimizer)
        with active.attached(optimizer):
            for _ in range(active.epochs):
                lesson.epoch(model, optimizer, scheduler)
    return model


def stage(table: StageTable, epochs: int, row: dict[str, Any], last: float | None) -> tt.Stage:
    """A recipe's stage with other epochs, its rate in the same proportion to that of the row."""
    made = replace(table.stage(), epochs=epochs)
    if made.budget is None or last is None:
        return made
    return replace(made, budget=tt.Budget(rate=row["rate"] * (table.budget.rate / last)))
