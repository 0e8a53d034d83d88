"""torchao's PARQ: Adam inside its quantizing optimizer, levels annealed."""

from typing import Any

import low_bits
from lesson import Lesson
from torch import nn


def train(
    lesson: Lesson, row: dict[str, Any], *, annealed: float, learning_rate: float, per_channel: bool
) -> nn.Module:
    """All epochs with the levels coming nearer.

    Args:
        annealed: part of the steps after which weights are on their levels.
        per_channel: one scale an output channel, or one a layer.
    """
    model = lesson.network()
    bits = 1 if row["kind"] == "binary" else low_bits.TERNARY
    optimizer = low_bits.parq(model, learning_rate, lesson.steps, bits=bits, per_channel=per_channel, annealed=annealed)
    scheduler = lesson.cosine(optimizer.base_optimizer)
    for _ in range(lesson.epochs):
        lesson.epoch(model, optimizer, scheduler)
    return model
