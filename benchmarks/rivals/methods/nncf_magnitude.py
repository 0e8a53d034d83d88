"""NNCF: magnitude pruning by its scheduler; for joint rows then its 8-bit quantization-aware training."""

import os
from typing import Any

import torch
from lesson import Lesson
from torch import nn

# It compiles its quantizers at first use, which takes longer than it waits by default.
os.environ.setdefault("NNCF_EXTENSION_LOAD_TIMEOUT", "0")
import nncf
from nncf.torch.function_hook.pruning.magnitude.schedulers import ExponentialMagnitudePruningScheduler

QUANTIZED = 0.3
"""Part of the epochs in quantization-aware training, at their end, of a joint row."""
CALIBRATION = 300
"""Pictures to set ranges by, its default."""


def train(lesson: Lesson, row: dict[str, Any], *, everywhere: bool, busy: float, learning_rate: float) -> nn.Module:
    """Its exponential schedule, a step at the start of each of the first epochs; the others retrain.

    Args:
        everywhere: one normed threshold for the whole network, rather than one for each layer.
        busy: part of the epochs that begin with a pruning.
    """
    mode = nncf.PruneMode.UNSTRUCTURED_MAGNITUDE_GLOBAL if everywhere else nncf.PruneMode.UNSTRUCTURED_MAGNITUDE_LOCAL
    joint = row["kind"] == "joint"
    inputs, _ = next(lesson.batches(torch.Generator().manual_seed(0)))
    # It flattens weights in a way that channels-last memory does not allow.
    model = nncf.prune(
        lesson.network().to(memory_format=torch.contiguous_format), mode=mode, ratio=0.0, examples_inputs=inputs[:1]
    )
    quantized = max(1, round(QUANTIZED * lesson.epochs)) if joint else 0
    epochs = lesson.epochs - quantized
    steps = max(1, round(busy * epochs))
    pruning = ExponentialMagnitudePruningScheduler(
        model, mode=mode, initial_ratio=0.0, target_ratio=1 - 1 / row["rate"], target_epoch=max(1, steps - 1)
    )
    fit(lesson, model, epochs, learning_rate, lambda number: pruning.step() if number < steps else None)
    if joint:
        part = nncf.Dataset(inputs.split(1)[:CALIBRATION])
        model = nncf.quantize(model, part, fast_bias_correction=True)
        fit(lesson, model, quantized, learning_rate, lambda number: None)
    model.eval()
    return nncf.strip(model, strip_format=nncf.StripFormat.IN_PLACE, example_input=inputs[:1])


def fit(lesson: Lesson, model: nn.Module, epochs: int, learning_rate: float, before: Any) -> None:
    """Epochs under one cosine."""
    optimizer = torch.optim.Adam(model.parameters(), lr=learning_rate)
    scheduler = lesson.cosine(optimizer, epochs)
    for number in range(epochs):
        before(number)
        lesson.epoch(model, optimizer, scheduler)
