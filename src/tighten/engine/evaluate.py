"""Accuracy of a network on held examples."""

from __future__ import annotations

import torch
from torch import nn

from tighten.data import ALL, Examples, Share, batches

BATCH = 1000
NUMBERS = 2**25
"""Inputs of a batch, at most: large pictures would not fit into memory by the thousand."""


def accuracy(model: nn.Module, data: Examples) -> float:
    """The share of examples whose highest output is their class, in percent, in float32."""
    return 100 * correct(model, data) / len(data)


@torch.no_grad()
def correct(model: nn.Module, data: Examples, share: Share = ALL) -> int:
    """How many examples have their class as the highest output, of those in one process's share."""
    device = next(model.parameters()).device
    training = model.training
    model.eval()
    right = 0
    size = max(1, min(BATCH, NUMBERS // data.first().numel()))
    for inputs, targets in batches(data, size, None, share=share):
        if len(targets):
            outputs = model(inputs.to(device))
            right += int((outputs.argmax(1) == targets.to(device)).sum())
    model.train(training)
    return right
