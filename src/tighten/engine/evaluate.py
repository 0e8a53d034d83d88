"""Accuracy of a network on held examples."""

from __future__ import annotations

import torch
from torch import nn

from tighten.data import TensorData, batches

BATCH = 1000


@torch.no_grad()
def accuracy(model: nn.Module, data: TensorData) -> float:
    """The share of examples whose highest output is their class, in percent, in float32."""
    device = next(model.parameters()).device
    training = model.training
    model.eval()
    right = 0
    for inputs, targets in batches(data, BATCH, None):
        outputs = model(inputs.to(device))
        right += int((outputs.argmax(1) == targets.to(device)).sum())
    model.train(training)
    return 100 * right / len(data)
