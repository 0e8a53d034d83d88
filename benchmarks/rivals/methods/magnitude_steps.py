"""Iterative magnitude pruning by `torch.nn.utils.prune`, over the whole network or in every layer alike."""

from typing import Any

import low_bits
import torch
from lesson import Lesson
from magnitude import kept_after, make_permanent, prune_each_to, prune_to, weights_of
from torch import nn

QUANTIZED = 0.3
"""Part of the epochs under fake quantization, at their end, where bits are asked for."""


def train(
    lesson: Lesson,
    row: dict[str, Any],
    *,
    everywhere: bool,
    busy: float,
    learning_rate: float,
    bits: int | None = None,
) -> nn.Module:
    """Equal geometric steps at the start of each of the first epochs; the others retrain.

    Args:
        everywhere: smallest weights of the whole network, rather than the same part of each layer.
        busy: part of the epochs that begin with a pruning.
        bits: of each kept weight; afterwards PyTorch's fake quantization with gradients straight through.
    """
    model = lesson.network()
    optimizer = torch.optim.Adam(model.parameters(), lr=learning_rate)
    quantized = 0 if bits is None else max(1, round(QUANTIZED * lesson.epochs))
    epochs, total = lesson.epochs - quantized, weights_of(model)
    scheduler = lesson.cosine(optimizer, epochs)
    steps = max(1, round(busy * epochs))
    for number in range(1, epochs + 1):
        if number <= steps:
            if everywhere:
                prune_to(model, kept_after(number, steps, total, row["rate"]))
            else:
                prune_each_to(model, row["rate"] ** (-number / steps))
        lesson.epoch(model, optimizer, scheduler)
    make_permanent(model)
    if bits is not None:
        low_bits.fake_quantize(model, bits)
        optimizer = torch.optim.Adam(model.parameters(), lr=learning_rate)
        scheduler = lesson.cosine(optimizer, quantized)
        for _ in range(quantized):
            lesson.epoch(model, optimizer, scheduler)
        low_bits.settle(model)
    return model
