"""Binary and ternary weights by straight-through estimation, in thirty lines."""

from typing import Any

import torch
from lesson import Lesson
from magnitude import pruned_modules
from torch import Tensor, nn
from torch.nn.utils import parametrize


class Levels(nn.Module):
    """Weights put on -a, (0,) +a, gradients straight through.

    Source: Rastegari et al., arXiv 1603.05279 (binary); Li et al., arXiv 1605.04711 (ternary, threshold 0.7 mean |w|).
    """

    def __init__(self, ternary: bool) -> None:
        super().__init__()
        self.ternary = ternary

    def forward(self, weight: Tensor) -> Tensor:
        size = weight.detach().abs()
        kept = size > 0.7 * size.mean() if self.ternary else torch.ones_like(size, dtype=torch.bool)
        levels = torch.where(weight.detach() >= 0, 1.0, -1.0) * kept * size[kept].mean()
        return weight + (levels - weight).detach() if self.training else levels


def train(lesson: Lesson, row: dict[str, Any], *, learning_rate: float) -> nn.Module:
    """All epochs with quantized weights."""
    model = lesson.network()
    modules = [module for module, _ in pruned_modules(model)]
    for module in modules:
        parametrize.register_parametrization(module, "weight", Levels(row["kind"] == "ternary"))
    optimizer = torch.optim.Adam(model.parameters(), lr=learning_rate)
    scheduler = lesson.cosine(optimizer)
    for _ in range(lesson.epochs):
        lesson.epoch(model, optimizer, scheduler)
    model.eval()
    for module in modules:
        parametrize.remove_parametrizations(module, "weight")
    return model
