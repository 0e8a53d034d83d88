"""Magnitude pruning with `torch.nn.utils.prune`, in geometric steps; needs nothing but torch."""

import math

import torch
from torch import Tensor, nn
from torch.nn.utils import prune

Layer = tuple[nn.Module, str]


def pruned_modules(model: nn.Module) -> list[Layer]:
    """The layers that a recipe's `*` chooses."""
    return [(module, "weight") for module in model.modules() if isinstance(module, nn.Conv2d | nn.Linear)]


def weights_of(model: nn.Module) -> int:
    """How many weights those layers have."""
    return sum(getattr(module, name).numel() for module, name in pruned_modules(model))


def kept_after(step: int, steps: int, total: int, rate: float) -> int:
    """Weights left after a step of geometric pruning; after the last as many as a budget of this rate leaves."""
    return math.floor(total / rate ** (step / steps) + 1e-9)


def prune_to(model: nn.Module, kept: int) -> None:
    """The smallest weights of the whole network pruned until `kept` are left."""
    layers = pruned_modules(model)
    # torch's function flattens tensors in a way that channels-last memory does not allow.
    model.to(memory_format=torch.contiguous_format)
    sizes = {layer: trained_sizes(*layer) for layer in layers}
    left = sum(alive(*layer) for layer in layers)
    prune.global_unstructured(layers, pruning_method=prune.L1Unstructured, importance_scores=sizes, amount=left - kept)
    model.to(memory_format=torch.channels_last)


def prune_each_to(model: nn.Module, part: float) -> None:
    """The smallest weights of every layer pruned until this part of each is left, and at least one."""
    model.to(memory_format=torch.contiguous_format)
    for module, name in pruned_modules(model):
        left = alive(module, name)
        kept = max(1, math.floor(part * getattr(module, name).numel() + 1e-9))
        sizes = trained_sizes(module, name)
        prune.l1_unstructured(module, name, amount=left - kept, importance_scores=sizes)
    model.to(memory_format=torch.channels_last)


def trained_sizes(module: nn.Module, name: str) -> Tensor:
    """Magnitudes of what is left, as trained last: the masked weight beside the trained one dates from before that."""
    trained = getattr(module, f"{name}_orig", getattr(module, name))
    return trained.detach().abs() * getattr(module, f"{name}_mask", torch.ones(()))


def alive(module: nn.Module, name: str) -> int:
    """How many weights of a layer are not pruned."""
    mask = getattr(module, f"{name}_mask", None)
    return getattr(module, name).numel() if mask is None else int(mask.sum())


def make_permanent(model: nn.Module) -> None:
    """Masks taken off, their zeros left in plain weights."""
    for module, name in pruned_modules(model):
        if prune.is_pruned(module):
            prune.remove(module, name)
