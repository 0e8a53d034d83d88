"""Two networks shown to compute the same."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd

_RUNS = 2


@torch.no_grad()
def difference(a: nn.Module, b: nn.Module, inputs: list[Tensor]) -> float:
    """The largest difference of the outputs, as a part of the largest output of `a`; infinite where they do not match.

    Raises:
        Exception: whatever the networks raise.
    """
    worst = 0.0
    for x in inputs:
        left, right = list(_tensors(a(x.clone()))), list(_tensors(b(x.clone())))
        if [t.shape for t in left] != [t.shape for t in right]:
            return float("inf")
        for s, t in zip(left, right, strict=True):
            if not torch.equal(s.isfinite(), t.isfinite()):
                return float("inf")
            apart = (s.double() - t.double()).nan_to_num(0.0, 0.0, 0.0).abs()
            size = s.double().nan_to_num(0.0, 0.0, 0.0).abs()
            if apart.numel() and float(apart.amax()) > 0:
                worst = max(worst, float(apart.amax() / size.amax().clamp(min=1e-30)))
    return worst


@torch.no_grad()
def open_paths(model: nn.Module, seed: int = 0) -> nn.Module:
    """A copy in float64 with the same zeros in the weights and everything else drawn anew above zero.

    With inputs above zero no activation is shut, and nothing cancels where the network takes no differences. So each
    path shows in the outputs: a channel that is missing, or at another one's place, is seen, however seldom it works.
    """
    generator = torch.Generator().manual_seed(seed)
    model = copy.deepcopy(model).double()

    def drawn(low: float, high: float, shape: torch.Size) -> Tensor:
        return low + (high - low) * torch.rand(shape, generator=generator, dtype=torch.float64)

    for module in model.modules():
        for name, parameter in module.named_parameters(recurse=False):
            used = (parameter != 0) if name != "bias" else torch.ones_like(parameter)
            value = used * drawn(0.5, 1.5, parameter.shape)
            if name == "bias":
                value *= 0.1
            elif isinstance(module, nn.Linear | _ConvNd):
                # Sums stay near one, where no activation saturates.
                value /= used.flatten(1).sum(1).clamp(min=1).reshape(-1, *[1] * (parameter.dim() - 1))
            parameter.copy_(value)
        if isinstance(module, _BatchNorm) and module.running_mean is not None and module.running_var is not None:
            module.running_mean.zero_()
            module.running_var.copy_(drawn(0.5, 1.5, module.running_var.shape))
    return model


def inputs_like(example: Tensor, *, positive: bool) -> list[Tensor]:
    """Random inputs of the shape of the example; float64 where it is of floats."""
    generator = torch.Generator().manual_seed(1)
    if not example.is_floating_point():
        # Tokens and the like: only values that were seen are known to be allowed.
        order = [torch.randint(example.numel(), example.shape, generator=generator) for _ in range(_RUNS)]
        return [example.flatten()[places] for places in order]
    draw = torch.rand if positive else torch.randn
    return [draw(example.shape, generator=generator, dtype=torch.float64) for _ in range(_RUNS)]


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, dict | list | tuple):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _tensors(part)
