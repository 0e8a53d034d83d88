"""NNCF: magnitude pruning by its scheduler; for joint rows then its 8-bit quantization-aware training."""

import os
import sys
import tempfile
from typing import Any

import torch
from lesson import Lesson
from torch import nn

# It compiles its quantizers at first use, by the `ninja` of this environment, which takes longer than it waits by
# default; in a new folder of the environment, since what a killed process leaves behind is waited for.
os.environ["NNCF_EXTENSION_LOAD_TIMEOUT"] = "0"
os.environ["TORCH_EXTENSIONS_DIR"] = tempfile.mkdtemp(dir=sys.prefix)
os.environ["PATH"] = f"{sys.prefix}/bin{os.pathsep}{os.environ['PATH']}"
import nncf
from nncf.torch.function_hook.hook_storage import decode_hook_name
from nncf.torch.function_hook.pruning.magnitude.schedulers import ExponentialMagnitudePruningScheduler
from nncf.torch.function_hook.wrapper import get_hook_storage

QUANTIZED = 0.3
"""Part of the epochs in quantization-aware training, at their end, of a joint row."""
WEIGHT_PORT = 1
"""The place of the weight among the inputs of a layer's function."""
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
    return settled(model, lesson.network())


@torch.no_grad()
def settled(model: nn.Module, plain: nn.Module) -> nn.Module:
    """The weights as the layers see them, through masks and quantizers, in a network without either.

    Its own `strip` takes masks off, but refuses quantizers of weights in place.
    """
    hooks = [(*decode_hook_name(name), hook) for name, hook in get_hook_storage(model).named_hooks()]
    for name, layer in plain.named_children():
        trained = model.get_submodule(name)
        weight = trained.weight
        masks = [hook for kind, place, _, hook in hooks if kind == "post_hooks" and place == f"{name}.weight"]
        quantizers = [
            hook for kind, place, port, hook in hooks
            if kind == "pre_hooks" and place.startswith(f"{name}/") and port == WEIGHT_PORT
        ]  # fmt: skip
        for hook in [*masks, *quantizers]:
            weight = hook(weight)
        layer.weight.copy_(weight)
        layer.bias.copy_(trained.bias)
    return plain


def fit(lesson: Lesson, model: nn.Module, epochs: int, learning_rate: float, before: Any) -> None:
    """Epochs under one cosine."""
    optimizer = torch.optim.Adam(model.parameters(), lr=learning_rate)
    scheduler = lesson.cosine(optimizer, epochs)
    for number in range(epochs):
        before(number)
        lesson.epoch(model, optimizer, scheduler)
