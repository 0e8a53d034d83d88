"""Gradual magnitude pruning with one LAMP score for the whole network.

Source: Zhu and Gupta, arXiv 1710.01878 (cubic schedule); Lee et al., arXiv 2010.07611 (LAMP).
"""

import math
from typing import Any

import torch
from lesson import Lesson
from magnitude import pruned_modules
from torch import Tensor, nn

EVERY = 100
"""Steps between two prunings, as in the paper's experiments."""


def train(lesson: Lesson, row: dict[str, Any], *, busy: float, learning_rate: float) -> nn.Module:
    """Density falls along a cubic curve, then the support rests.

    Args:
        busy: part of the steps in which pruning goes on.
    """
    model = lesson.network()
    weights = [module.weight for module, _ in pruned_modules(model)]
    total = sum(w.numel() for w in weights)
    kept, steps = math.floor(total / row["rate"] + 1e-9), max(1, int(busy * lesson.steps))
    optimizer = torch.optim.Adam(model.parameters(), lr=learning_rate)
    scheduler = lesson.cosine(optimizer)
    step, masks = 0, [torch.ones_like(w) for w in weights]
    every = min(EVERY, max(1, steps // 10))

    @torch.no_grad()
    def before_step() -> None:
        nonlocal step, masks
        if step <= steps and (step % every == 0 or step == steps):
            left = 1 - step / steps
            masks = support(weights, kept + math.floor((total - kept) * left**3))
        hold(weights, masks)
        step += 1

    for _ in range(lesson.epochs):
        lesson.epoch(model, optimizer, scheduler, before_step=before_step)
    hold(weights, masks)
    return model


def support(weights: list[nn.Parameter], count: int) -> list[Tensor]:
    """Masks of the highest scores."""
    scores = [lamp(w.detach()) for w in weights]
    flat = torch.cat(scores)
    chosen = torch.zeros_like(flat)
    chosen[flat.topk(count).indices] = 1
    parts = chosen.split([len(score) for score in scores])
    return [part.view(w.shape) for part, w in zip(parts, weights, strict=True)]


def lamp(weight: Tensor) -> Tensor:
    """Each square over the sum of all squares of the layer that are not smaller."""
    squares, order = weight.flatten().double().square().sort(descending=True)
    scores = torch.empty_like(squares)
    scores[order] = squares / squares.cumsum(0).clamp_min(torch.finfo(torch.float64).tiny)
    return scores


@torch.no_grad()
def hold(weights: list[nn.Parameter], masks: list[Tensor]) -> None:
    """What is pruned set to zero."""
    for weight, mask in zip(weights, masks, strict=True):
        weight.mul_(mask)
