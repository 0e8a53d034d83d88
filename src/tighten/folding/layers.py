"""The layers of a traced model whose neurons can be looked at, and what of them may change."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass

import torch
from torch import Tensor, fx, nn

from tighten.folding.rules import LAYERS, NORMS
from tighten.folding.trace import Traced


@dataclass(frozen=True, eq=False)
class Layer:
    """One layer that is computed once, on the private copy.

    Args:
        name: the module's name.
        node: its place in the graph.
        module: the copy's module.
        weight: its weight; outputs on axis 0.
        bias: its bias.
        axis: the axis of features or channels in what goes in and comes out.
        mixes: whether each output reads all inputs (axis 1 of the weight); batch norm does not.
        zeroes_weight: whether entries of the weight may become zero.
        zeroes_bias: whether entries of the bias may become zero.
        shifts_bias: whether entries of the bias may take any value.
    """

    name: str
    node: fx.Node
    module: nn.Module
    weight: Tensor
    bias: Tensor | None
    axis: int
    mixes: bool
    zeroes_weight: bool
    zeroes_bias: bool
    shifts_bias: bool

    def each(self, entries: Tensor) -> Tensor:
        """For each feature of a tensor that goes in or comes out, the largest entry."""
        return entries.movedim(self.axis, 0).flatten(1).amax(1) if entries.dim() > 1 else entries

    def weighted(self, x: Tensor, feature: int) -> Tensor:
        """What one input feature adds to the outputs: `[outputs, places]`.

        Args:
            x: what goes in.
            feature: which of its features is looked at.
        """
        if self.weight.dim() == 2:
            return self.weight[:, feature, None] * x.select(self.axis, feature).reshape(-1)
        used = {"weight": self.weight[:, feature : feature + 1]}
        if self.bias is not None:
            used["bias"] = torch.zeros_like(self.bias)
        out: Tensor = torch.func.functional_call(self.module, used, (x.narrow(self.axis, feature, 1),))
        return out.movedim(self.axis, 0).flatten(1)


def layers_of(
    traced: Traced, tied: Collection[str], allowed: Collection[str] | None, only_zero: Collection[str]
) -> list[Layer]:
    """The layers, in the order of computation; grouped convolutions let constants through, but stay as they are.

    Args:
        traced: the model.
        tied: parameters that share memory with others; they are not touched.
        allowed: parameters that may change; None for all.
        only_zero: parameters whose entries may become zero but take no other value.
    """
    calls = Counter(str(node.target) for node in traced.graph.nodes if node.op == "call_module")
    untouched = {*tied, *(str(node.target) for node in traced.graph.nodes if node.op == "get_attr")}
    found = []
    for node in traced.rules:
        name = str(node.target)
        if node.op != "call_module" or calls[name] > 1:
            continue
        module = traced.model.get_submodule(name)
        weight, bias = module._parameters.get("weight"), module._parameters.get("bias")
        if not isinstance(module, LAYERS + NORMS) or weight is None:
            continue
        if getattr(module, "groups", 1) > 1:
            continue
        mixes = isinstance(module, LAYERS)
        free = [
            parameter not in untouched and (allowed is None or parameter in allowed)
            for parameter in (f"{name}.weight", f"{name}.bias")
        ]
        found.append(
            Layer(
                name,
                node,
                module,
                weight.detach(),
                None if bias is None else bias.detach(),
                axis=1 - weight.dim() if mixes else 1,
                mixes=mixes,
                zeroes_weight=free[0],
                zeroes_bias=free[1],
                shifts_bias=free[1] and f"{name}.bias" not in only_zero,
            )
        )
    return found


def tied_parameters(model: nn.Module) -> set[str]:
    """The names of all parameters whose memory has more than one name."""
    named = list(model.named_parameters(remove_duplicate=False))
    holders = Counter(p.untyped_storage().data_ptr() for _, p in named)
    return {name for name, p in named if holders[p.untyped_storage().data_ptr()] > 1}
