"""Accuracy of a network on held examples."""

from __future__ import annotations

import torch
from torch import nn

from tighten.data import Examples, batches

BATCH = 1000
NUMBERS = 2**25
"""Inputs of a batch, at most: large pictures would not fit into memory by the thousand."""


@torch.no_grad()
def accuracy(model: nn.Module, data: Examples) -> float:
    """The share of examples whose highest output is their class, in percent, in float32."""
    device = next(model.parameters()).device
    training = model.training
    model.eval()
    right = 0
    size = max(1, min(BATCH, NUMBERS // data.first().numel()))
    for inputs, targets in batches(data, size, None):
        outputs = model(inputs.to(device))
        right += int((outputs.argmax(1) == targets.to(device)).sum())
    model.train(training)
    return 100 * right / len(data)
