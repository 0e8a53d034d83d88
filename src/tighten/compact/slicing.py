"""A network with some of its channels, and where its entries lie in the full one."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn

from tighten.compact.coupling import remove
from tighten.compact.selection import Removal


def sliced(full: nn.Module, removal: Removal) -> tuple[nn.Module, dict[str, Tensor]]:
    """A copy of a network without some channels, and for each of its tensors the flat places in the full one."""
    small = copy.deepcopy(full)
    # Numbers pass through the same operations as weights would; float64 holds whole numbers up to 2^53.
    for _, tensor in named_tensors(small):
        tensor.grad = None
        tensor.data = torch.arange(tensor.numel(), dtype=torch.float64).reshape(tensor.shape)
    remove(small, removal)
    places = {name: tensor.detach().long() for name, tensor in named_tensors(small)}
    fill(small, places, full)
    return small, places


def fill(small: nn.Module, places: Mapping[str, Tensor], full: nn.Module) -> None:
    """The entries of the full network put into the small one; also its modes and what of it is trained."""
    whole, modules = dict(named_tensors(full)), dict(full.named_modules())
    for name, tensor in named_tensors(small):
        tensor.data = whole[name].detach().flatten()[places[name].flatten()].reshape(places[name].shape)
        if isinstance(tensor, nn.Parameter):
            tensor.requires_grad_(whole[name].requires_grad)
    for name, module in small.named_modules():
        module.training = modules[name].training


def named_tensors(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """All parameters and buffers under all their names."""
    yield from model.named_parameters(remove_duplicate=False)
    yield from model.named_buffers(remove_duplicate=False)
