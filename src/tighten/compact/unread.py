"""The neurons that no output depends on."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import torch
from torch import Tensor, fx, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd

from tighten.errors import PlanError
from tighten.folding.facts import reads
from tighten.folding.layers import tied_parameters
from tighten.folding.rules import Rule, is_plain
from tighten.folding.trace import Traced, trace

_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)


@dataclass(frozen=True, eq=False)
class Unread:
    """What may go from a model.

    Args:
        neurons: for each layer that is computed once and shares nothing, which of its neurons no output depends on.
        columns: for each of them, which of its inputs it has no weight for.
        fixed: the modules that must stay as they are, and why.
        opaque: operations that were not understood; all that reaches them counts as read.
    """

    neurons: dict[str, Tensor]
    columns: dict[str, Tensor]
    fixed: dict[str, str]
    opaque: tuple[str, ...]


def unread(model: nn.Module, example: Tensor) -> Unread:
    """What no output of a model depends on. Cost: a backward pass in float64.

    Raises:
        PlanError: the model cannot be traced; says by what.
    """
    traced = trace(model, (example,))
    if isinstance(traced, str):
        raise PlanError(f"the network cannot be made smaller: {traced}")
    for node in traced.opaque:
        if (rule := _grouped(node, traced)) is not None:
            traced.rules[node] = rule
    read = reads(traced)
    fixed = _fixed(traced)
    neurons, columns = {}, {}
    for node in traced.graph.nodes:
        name = str(node.target)
        if node.op != "call_module" or name in fixed or node not in traced.shapes:
            continue
        module = traced.model.get_submodule(name)
        if isinstance(module, nn.Linear | _ConvNd):
            weight = module.weight.detach()
            axis = -1 if isinstance(module, nn.Linear) else 1
            neurons[name] = read[node].movedim(axis, 0).flatten(1).amax(1) == 0
            columns[name] = (weight if _transposed(module) else weight.movedim(1, 0)).flatten(1).eq(0).all(1)
    return Unread(neurons, columns, fixed, tuple(_named(node) for node in traced.opaque))


def _grouped(node: fx.Node, traced: Traced) -> Rule | None:
    """Convolutions in groups, which folding leaves alone: each output reads the inputs of its group."""
    module = traced.model.get_submodule(str(node.target)) if node.op == "call_module" else None
    if type(module) not in _CONVOLUTIONS or not isinstance(module, _ConvNd) or not is_plain(module):
        return None
    if "weight" not in module._parameters or node not in traced.shapes or len(node.args) != 1 or node.kwargs:
        return None

    def spread(x: Tensor) -> Tensor:
        used = {"weight": (module.weight != 0).to(x.dtype)}
        if module.bias is not None:
            used["bias"] = torch.zeros_like(module.bias)
        out: Tensor = torch.func.functional_call(module, used, (x,))
        return out

    return Rule(module, spread, is_fresh=True)


def _fixed(traced: Traced) -> dict[str, str]:
    calls = Counter(str(node.target) for node in traced.graph.nodes if node.op == "call_module")
    tied = tied_parameters(traced.model)
    direct = {str(node.target) for node in traced.graph.nodes if node.op == "get_attr"}
    fixed = {}
    for name, module in traced.model.named_modules():
        own = [f"{name}.{parameter}" if name else parameter for parameter, _ in module.named_parameters(recurse=False)]
        if calls[name] > 1:
            fixed[name] = f"'{name}' is used more than once"
        elif tied & set(own):
            fixed[name] = f"'{name}' shares a parameter"
        elif direct & set(own) or not is_plain(module):
            fixed[name] = f"'{name}' is used in a way of its own"
        elif isinstance(module, nn.Linear | _ConvNd | _BatchNorm) and "weight" not in module._parameters:
            fixed[name] = f"the weight of '{name}' is computed"
    return fixed


def _transposed(module: nn.Module) -> bool:
    return isinstance(module, _ConvNd) and module.transposed


def _named(node: fx.Node) -> str:
    return str(node.target) if isinstance(node.target, str) else getattr(node.target, "__name__", str(node))
