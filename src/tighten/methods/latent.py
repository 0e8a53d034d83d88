"""Latent weights: what the optimizer moves, while the network computes with what is made of them."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor


@torch.no_grad()
def put(weights: Mapping[str, Tensor], values: Mapping[str, Tensor]) -> None:
    """The values copied into the weights."""
    torch._foreach_copy_([weights[name] for name in values], list(values.values()))
