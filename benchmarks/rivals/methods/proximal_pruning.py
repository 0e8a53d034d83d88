"""torchao's PAT: Adam inside its proximal optimizer, with a hard limit on entries, then healing."""

from typing import Any

from lesson import Lesson
from proximal import pat
from shares import shared
from torch import nn


def train(lesson: Lesson, row: dict[str, Any], *, busy: float, learning_rate: float, given_shares: bool) -> nn.Module:
    """All epochs by its optimizer.

    Args:
        busy: part of the steps before the healing.
        given_shares: a limit for each layer, in the shares that `tighten` found; else one for the whole network.
    """
    model = lesson.network()
    kept = shared(row["rate"]) if given_shares else None
    optimizer = pat(model, learning_rate, lesson.steps, rate=row["rate"], busy=busy, kept=kept)
    scheduler = lesson.cosine(optimizer.base_optimizer)
    for _ in range(lesson.epochs):
        lesson.epoch(model, optimizer, scheduler)
    return model
