"""Batch norm statistics taken anew, for weights that have just been put on their sets."""

from __future__ import annotations

from collections.abc import Iterable

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim.swa_utils import update_bn

EXAMPLES = 10_000
"""Training examples that the statistics are taken from, at most."""


def has_batch_norm(model: nn.Module) -> bool:
    """Whether any layer keeps running statistics of what passes through."""
    return any(isinstance(m, _BatchNorm) and m.track_running_stats for m in model.modules())


def reestimate(model: nn.Module, inputs: Iterable[Tensor]) -> None:
    """Each running mean and variance set to the mean over the given batches.

    Running statistics remember some ten batches, and of weights as they were then. A commit moves all weights at
    once, and the rest of the network has not seen what it now gets.

    Source: Izmailov et al., arXiv 1803.05407 (the pass over the data), by torch's own `update_bn`.

    Args:
        model: left in its mode of training or evaluation; nothing but the statistics changes.
        inputs: batches in no particular order of classes.
    """
    if has_batch_norm(model):
        update_bn(inputs, model)
