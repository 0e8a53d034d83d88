"""torchao's PAT: Adam inside its proximal optimizer, with a hard limit on entries, then healing."""

from typing import Any

import torch
from lesson import Lesson
from magnitude import pruned_modules
from shares import shared
from torch import nn
from torchao.prototype.pat.optim import PruneOptimizer


def train(
    lesson: Lesson,
    row: dict[str, Any],
    *,
    busy: float,
    learning_rate: float,
    given_shares: bool,
) -> nn.Module:
    """Its cubic schedule down to the limit, then healing with the mask frozen.

    Args:
        busy: part of the steps before the healing.
        given_shares: a limit for each layer, in the shares that `tighten` found; else one for the whole network, by
            its global constraint.
    """
    # Its groups are views of flattened weights, which channels-last memory does not have.
    model = lesson.network().to(memory_format=torch.contiguous_format)
    weights = {f"{name}.weight": module.weight for name, module in model.named_children()}
    assert len(weights) == len(pruned_modules(model))
    kind = {"group_type": "KElementGrouper", "k": 1, "min_sparsity_schedule": True}
    if given_shares:
        kept = shared(row["rate"])
        groups = [
            {
                "params": [w],
                "prox_type": "MinSparsityConstraint",
                "min_sparsity": sparsity(w.numel(), kept[name]),
                **kind,
            }
            for name, w in weights.items()
        ]
    else:
        total = sum(w.numel() for w in weights.values())
        limit = sparsity(total, int(total / row["rate"] + 1e-9))
        kind |= {"prox_type": "GlobalMinSparsityConstraint", "min_sparsity": limit}
        groups = [{"params": list(weights.values()), **kind}]
    rest = [p for name, p in model.named_parameters() if name not in weights]
    base = torch.optim.Adam([*groups, {"params": rest}], lr=learning_rate)
    optimizer = PruneOptimizer(base, warmup_steps=0, healing_start_step=max(2, int(busy * lesson.steps)))
    scheduler = lesson.cosine(base)
    for _ in range(lesson.epochs):
        lesson.epoch(model, optimizer, scheduler)
    return model


def sparsity(total: int, kept: int) -> float:
    """The part to prune, so that its rounding up leaves `kept`."""
    return (total - kept - 0.5) / total
