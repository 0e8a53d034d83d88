"""Rivals of the low-bit rows: torchao's PARQ, and pruning followed by fake quantization by torch alone."""

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize, prune

WEIGHTS = nn.Conv2d | nn.Linear
ANNEALED = 0.75
"""The part of all steps after which PARQ's weights are on their levels; from there on gradients go straight through."""
TERNARY = 0
"""What PARQ calls the bits of ternary levels."""


def weight_modules(model: nn.Module) -> list[nn.Module]:
    """The layers that a recipe's `*` chooses."""
    return [module for module in model.modules() if isinstance(module, WEIGHTS)]


def parq(
    model: nn.Module,
    learning_rate: float,
    steps: int,
    *,
    bits: int = TERNARY,
    per_channel: bool = True,
    annealed: float = ANNEALED,
) -> torch.optim.Optimizer:
    """Adam inside PARQ.

    Its least-squares quantizer, quantization period and steepness as its documentation shows them; the levels
    anneal from the first step on. Biases and batch norm train as they are.

    Args:
        model: whose weights are quantized; its memory becomes contiguous.
        learning_rate: of Adam.
        steps: of the whole training.
        bits: of a level, or TERNARY.
        per_channel: one scale an output channel, or one a layer.
        annealed: the part of all steps after which weights are on their levels.
    """
    try:
        from torchao.prototype.parq import LSBQuantizer, ProxPARQ, QuantOptimizer
    except ImportError as error:
        raise SystemExit(f"PARQ needs torchao ({error}): pip install torchao") from error
    # It writes through a flattened view, which weights in channels-last memory do not have: nothing would be quantized.
    model.to(memory_format=torch.contiguous_format)
    weights = [module.weight for module in weight_modules(model)]
    rest = [p for p in model.parameters() if all(p is not w for w in weights)]
    groups = [{"params": weights, "quant_bits": bits}, {"params": rest}]
    base = torch.optim.Adam(groups, lr=learning_rate)
    annealing = ProxPARQ(anneal_start=0, anneal_end=max(1, int(annealed * steps)), steepness=10)
    found: torch.optim.Optimizer = QuantOptimizer(base, LSBQuantizer(), annealing, quant_per_channel=per_channel)
    return found


class FakeQuantized(nn.Module):
    """Symmetric levels of some bits with one fixed step, gradients straight through; pruned zeros stay zero.

    Args:
        weight: whose step with the least squared error is taken, of a hundred.
        bits: of a level; there are 2^bits - 1 with the zero.
    """

    def __init__(self, weight: Tensor, bits: int) -> None:
        super().__init__()
        self.most = 2 ** (bits - 1) - 1
        largest = weight.detach().abs().max()
        steps = [float(largest * k / 100 / self.most) for k in range(20, 121)]
        errors = [float((self._quantized(weight.detach(), step) - weight.detach()).square().sum()) for step in steps]
        self.register_buffer("step", torch.tensor(steps[errors.index(min(errors))]))

    def forward(self, weight: Tensor) -> Tensor:
        return self._quantized(weight, float(self.step))

    def _quantized(self, weight: Tensor, step: float) -> Tensor:
        return torch.fake_quantize_per_tensor_affine(weight, step, 0, -self.most, self.most)


class Support(nn.Module):
    """Zeros that stay zero."""

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.register_buffer("mask", (weight.detach() != 0).to(weight.dtype))

    def forward(self, weight: Tensor) -> Tensor:
        return weight * self.mask


def fake_quantize(model: nn.Module, bits: int) -> None:
    """Every weight put under its support and levels."""
    for module in weight_modules(model):
        if prune.is_pruned(module):
            prune.remove(module, "weight")
        weight = module.weight
        parametrize.register_parametrization(module, "weight", Support(weight))
        parametrize.register_parametrization(module, "weight", FakeQuantized(weight, bits))


def settle(model: nn.Module) -> None:
    """The parametrizations taken off, their results left as plain weights."""
    for module in weight_modules(model):
        if parametrize.is_parametrized(module):
            parametrize.remove_parametrizations(module, "weight")
