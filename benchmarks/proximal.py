"""Pruning by torchao's PAT, a proximal optimizer with a hard limit on entries; needs torch and torchao."""

from collections.abc import Mapping

import torch
from magnitude import pruned_modules
from torch import nn


def pat(
    model: nn.Module,
    learning_rate: float,
    steps: int,
    *,
    rate: float,
    busy: float,
    kept: Mapping[str, int] | None = None,
) -> torch.optim.Optimizer:
    """Adam inside PAT: its cubic schedule down to the limit, then the mask is frozen.

    Args:
        model: whose weights are pruned; its memory becomes contiguous.
        learning_rate: of Adam.
        steps: of the whole training.
        rate: all weights over kept ones.
        busy: part of the steps before the healing.
        kept: entries of each weight by name; else one limit for the whole network, by its global constraint.
    """
    try:
        from torchao.prototype.pat.optim import PruneOptimizer
    except ImportError as error:
        raise SystemExit(f"PAT needs torchao ({error}): pip install torchao") from error
    # Its groups are views of flattened weights, which channels-last memory does not have.
    model.to(memory_format=torch.contiguous_format)
    chosen = {id(module.weight) for module, _ in pruned_modules(model)}
    weights = {name: p for name, p in model.named_parameters() if id(p) in chosen}
    kind = {"group_type": "KElementGrouper", "k": 1, "min_sparsity_schedule": True}
    if kept is None:
        total = sum(w.numel() for w in weights.values())
        limit = sparsity(total, int(total / rate + 1e-9))
        kind |= {"prox_type": "GlobalMinSparsityConstraint", "min_sparsity": limit}
        groups = [{"params": list(weights.values()), **kind}]
    else:
        kind |= {"prox_type": "MinSparsityConstraint"}
        groups = [
            {"params": [w], "min_sparsity": sparsity(w.numel(), kept[name]), **kind} for name, w in weights.items()
        ]
    rest = [p for name, p in model.named_parameters() if name not in weights]
    base = torch.optim.Adam([*groups, {"params": rest}], lr=learning_rate)
    found: torch.optim.Optimizer = PruneOptimizer(base, healing_start_step=max(2, int(busy * steps)))
    return found


def sparsity(total: int, kept: int) -> float:
    """The part to prune, so that its rounding up leaves `kept`."""
    return (total - kept - 0.5) / total
