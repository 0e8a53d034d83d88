"""PQuantML: its parameter-free differentiable pruning (PDP); for joint rows with its fixed-point weights."""

import os
from typing import Any

import torch
from lesson import Lesson
from torch import nn

os.environ["KERAS_BACKEND"] = "torch"
import pquant


def train(lesson: Lesson, row: dict[str, Any], *, busy: float, learning_rate: float) -> nn.Module:
    """Its own loop around the lesson's epochs: pruning that hardens, then fine-tuning under the mask.

    Args:
        busy: part of the epochs in pruning.
    """
    model = lesson.network().to(memory_format=torch.contiguous_format)
    config = pquant.pdp_config()
    pruning, quantization, training = (
        config.pruning_parameters, config.quantization_parameters, config.training_parameters,
    )  # fmt: skip
    training.pretraining_epochs = 0
    training.epochs = max(1, round(busy * lesson.epochs))
    training.fine_tuning_epochs = lesson.epochs - training.epochs
    pruning.sparsity = 1 - 1 / row["rate"]
    # The limit is to be reached within the epochs at hand.
    pruning.epsilon = 1 / training.epochs
    quantization.enable_quantization = row["kind"] == "joint"
    quantization.quantize_input = False
    model = pquant.add_compression_layers(model, config, (1, 1, 28, 28))
    optimizer = torch.optim.Adam(model.parameters(), lr=learning_rate)
    scheduler = lesson.cosine(optimizer)

    def one_epoch(net: nn.Module, **_: Any) -> None:
        lesson.epoch(net, optimizer, scheduler)

    model = pquant.train_model(model, config, one_epoch, lambda *_, **__: None, input_shape=(1, 1, 28, 28))
    plain = lesson.network()
    with torch.no_grad():
        for name, layer in pquant.apply_final_compression(model).named_children():
            plain.get_submodule(name).weight.copy_(layer.weight)
            plain.get_submodule(name).bias.copy_(layer.bias)
    return plain
