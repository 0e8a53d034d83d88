"""What each operation does to entries that are known, and which entries it mixes.

One rule says two things of an operation: how to compute it, and its *spread*, a linear function with factors
that are not negative, which is above zero exactly where an output may depend on an input that is above zero.
Forwards the spread tells which outputs are unknown, backwards (its transpose) which inputs are read.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Container
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

Operation = Callable[..., Tensor]


@dataclass(frozen=True, eq=False)
class Rule:
    """An operation that is understood; both functions take the arguments of the node.

    Args:
        value: computes it.
        spread: which outputs depend on which inputs.
        is_fresh: whether the result never shares memory with an argument.
    """

    value: Operation
    spread: Operation
    is_fresh: bool = False


LAYERS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
_ACTIVATION_MODULES = (
    *(nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.Hardtanh, nn.Sigmoid, nn.Tanh, nn.GELU, nn.SiLU, nn.ELU),
    *(nn.Softplus, nn.Hardswish, nn.Hardsigmoid),
    *(nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout),
)
_ACTIVATIONS: set[Any] = {
    *(F.relu, F.relu6, F.leaky_relu, F.hardtanh, F.elu, F.gelu, F.silu, F.softplus, F.hardswish, F.hardsigmoid),
    *(F.tanh, F.sigmoid, torch.relu, torch.relu_, torch.tanh, torch.sigmoid),
    *(torch.abs, torch.neg, torch.clamp, operator.neg),
}
_ACTIVATION_METHODS = {"relu", "relu_", "tanh", "sigmoid", "abs", "neg", "clamp", "detach"}
_DROPOUTS: set[Any] = {F.dropout, F.dropout1d, F.dropout2d, F.dropout3d, F.alpha_dropout}
_SUMS: set[Any] = {operator.add, torch.add, operator.sub, torch.sub, operator.mul, torch.mul}
_SUM_METHODS = {"add", "add_", "sub", "mul", "mul_"}
_MOVES: set[Any] = {
    *(torch.flatten, torch.reshape, torch.permute, torch.transpose, torch.squeeze, torch.unsqueeze),
    *(torch.cat, torch.concat, torch.stack, torch.mean, torch.sum, operator.getitem),
}
_MOVE_METHODS = {
    *("view", "reshape", "flatten", "permute", "transpose", "squeeze", "unsqueeze", "expand", "repeat"),
    *("mean", "sum", "clone", "contiguous"),
}
_MOVE_MODULES = (nn.Flatten, nn.Unflatten, nn.ZeroPad2d, nn.AvgPool2d, nn.AdaptiveAvgPool2d)


def rule_of(node: fx.Node, model: nn.Module, tensors: Container[fx.Node], sizes: Container[fx.Node]) -> Rule | None:
    """The rule of a node; None where its operation is not understood.

    Args:
        node: a call in the graph of `model`.
        model: where its modules are looked up.
        tensors: the nodes that give floating-point tensors.
        sizes: the nodes that give what follows from shapes alone.
    """
    given = [n for n in node.all_input_nodes if n in tensors]
    if not given or node not in tensors or any(n not in tensors and n not in sizes for n in node.all_input_nodes):
        return None
    if node.op == "call_module":
        module = model.get_submodule(str(node.target))
        return _of_module(module) if node.args == (given[0],) and not node.kwargs else None
    if node.op == "call_method":
        name = str(node.target)
        return _of_call(node, given, getattr(Tensor, name, None), name)
    return _of_call(node, given, node.target) if node.op == "call_function" else None


def is_plain(module: nn.Module) -> bool:
    """Whether a module does what its class says: nothing was hooked to it or put in place of its forward."""
    return not module._forward_hooks and not module._forward_pre_hooks and "forward" not in vars(module)


def _of_call(node: fx.Node, given: list[fx.Node], target: Any, method: str = "") -> Rule | None:
    one = len(given) == 1 and node.args[:1] == (given[0],)
    if one and (method in _ACTIVATION_METHODS or (not method and target in _ACTIVATIONS)):
        return Rule(target, _first)
    if one and not method and target in _DROPOUTS:
        return Rule(_first, _first) if node.kwargs.get("training") is False else None
    if method in _SUM_METHODS or (not method and target in _SUMS):
        return Rule(target, _either, is_fresh=not method.endswith("_")) if len(node.args) == 2 else None
    if method in _MOVE_METHODS or (not method and target in _MOVES):
        return Rule(target, target)
    if not one or method:
        return None
    if target is F.pad:
        return Rule(F.pad, _pad, is_fresh=True)
    if target in (F.max_pool2d, torch.max_pool2d):
        return Rule(target, _window, is_fresh=True) if _undilated(node.kwargs.get("dilation", 1), node) else None
    if target is F.adaptive_max_pool2d:
        return Rule(target, _adaptive_window, is_fresh=True)
    if target is F.avg_pool2d:
        return Rule(target, _average_window, is_fresh=True)
    return Rule(target, target, is_fresh=True) if target is F.adaptive_avg_pool2d else None


def _of_module(module: nn.Module) -> Rule | None:
    kind = type(module)
    if not is_plain(module) or module.training:
        return None
    if kind in LAYERS:
        return _of_layer(module) if "weight" in module._parameters else None
    if kind in NORMS:
        return _of_norm(module) if isinstance(module.running_mean, Tensor) else None
    if kind in _ACTIVATION_MODULES:
        return Rule(module, _first)
    if isinstance(module, nn.AvgPool2d) and module.divisor_override is not None:
        return None
    if kind in _MOVE_MODULES:
        return Rule(module, module)
    if isinstance(module, nn.AdaptiveMaxPool2d):
        size = module.output_size
        return Rule(module, lambda x: F.adaptive_avg_pool2d(x, size), is_fresh=True)
    if isinstance(module, nn.MaxPool2d) and module.dilation in (1, (1, 1)):
        window = (module.kernel_size, module.stride, module.padding, 1, module.ceil_mode)
        return Rule(module, lambda x: _window(x, *window), is_fresh=True)
    return None


def _of_layer(module: nn.Module) -> Rule:
    def spread(x: Tensor) -> Tensor:
        # Looked up at each call: folding changes the weights.
        used = {"weight": (module.get_parameter("weight") != 0).to(x.dtype)}
        if module._parameters.get("bias") is not None:
            used["bias"] = torch.zeros_like(module.get_parameter("bias"))
        out: Tensor = torch.func.functional_call(module, used, (x,))
        return out

    return Rule(module, spread, is_fresh=True)


def _of_norm(module: nn.Module) -> Rule:
    def spread(x: Tensor) -> Tensor:
        weight = module._parameters.get("weight")
        if weight is None:
            return x * 1.0
        used = (weight.detach() != 0).to(x.dtype)
        return x * used.reshape(-1, *[1] * (x.dim() - 2))

    return Rule(module, spread, is_fresh=True)


def _first(x: Tensor, *_: object, **__: object) -> Tensor:
    return x


def _either(a: Tensor | float, b: Tensor | float, **_: object) -> Tensor:
    tensors = [x for x in (a, b) if isinstance(x, Tensor)]
    return tensors[0] + tensors[1] if len(tensors) == 2 else tensors[0] * 1.0


def _pad(x: Tensor, pad: list[int], mode: str = "constant", value: float | None = None) -> Tensor:
    return F.pad(x, pad, mode)


def _undilated(dilation: object, node: fx.Node) -> bool:
    return len(node.args) < 5 and dilation in (1, (1, 1), [1, 1])


def _window(
    x: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Tensor:
    return F.avg_pool2d(x, kernel_size, stride, padding, ceil_mode)


def _adaptive_window(x: Tensor, output_size: Any, return_indices: bool = False) -> Tensor:
    return F.adaptive_avg_pool2d(x, output_size)


def _average_window(
    x: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0, ceil_mode: bool = False, *_: object, **__: object
) -> Tensor:
    return F.avg_pool2d(x, kernel_size, stride, padding, ceil_mode)
