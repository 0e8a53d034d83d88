"""Brevitas: its binary and ternary weight quantizers, constant scales, gradients straight through."""

from typing import Any

import torch
from brevitas.nn import QuantConv2d, QuantLinear
from brevitas.quant import SignedBinaryWeightPerTensorConst, SignedTernaryWeightPerTensorConst
from lesson import Lesson
from torch import nn


def train(lesson: Lesson, row: dict[str, Any], *, learning_rate: float) -> nn.Module:
    """All epochs with its layers in place of the network's; each scale is the mean magnitude of the dense weights."""
    model = lesson.network()
    quantizer = SignedBinaryWeightPerTensorConst if row["kind"] == "binary" else SignedTernaryWeightPerTensorConst
    for name, layer in list(model.named_children()):
        settings = {"weight_quant": quantizer, "weight_scaling_const": float(layer.weight.abs().mean())}
        if isinstance(layer, nn.Conv2d):
            made: nn.Module = QuantConv2d(layer.in_channels, layer.out_channels, layer.kernel_size, **settings)
        else:
            made = QuantLinear(layer.in_features, layer.out_features, bias=True, **settings)
        made.load_state_dict(layer.state_dict(), strict=False)
        setattr(model, name, made)
    optimizer = torch.optim.Adam(model.parameters(), lr=learning_rate)
    scheduler = lesson.cosine(optimizer)
    for _ in range(lesson.epochs):
        lesson.epoch(model, optimizer, scheduler)
    model.eval()
    plain = lesson.network()
    with torch.no_grad():
        for name, layer in model.named_children():
            plain.get_submodule(name).weight.copy_(layer.quant_weight().value)
            plain.get_submodule(name).bias.copy_(layer.bias)
    return plain
