"""What is left of a layer once its zero parts are taken out."""

from __future__ import annotations

import torch
from torch import Tensor, nn

# Taking a part out is a copy: it must leave a good deal less to do.
_WORTHWHILE = 0.8


def some(alive: Tensor) -> Tensor | None:
    """The indices of what is alive, at least one; None where that is nearly all, and a part is not worth taking out."""
    indices = alive.nonzero()[:, 0] if bool(alive.any()) else torch.zeros(1, dtype=torch.int64)
    return None if len(indices) > _WORTHWHILE * len(alive) else indices


def bias_of(layer: nn.Linear | nn.Conv2d) -> Tensor:
    """The bias of a layer; zeros where it has none."""
    if layer.bias is None:
        return torch.zeros(layer.weight.shape[0], dtype=layer.weight.dtype)
    return layer.bias.detach().clone()
