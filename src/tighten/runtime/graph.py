"""A model as a graph whose layers can be exchanged, prepared for inference."""

from __future__ import annotations

import copy
from typing import Any

import torch
import torch.nn.functional as F
from torch import fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from tighten.runtime.kernels import has_hooks

# Layers whose result is a tensor of its own.
_FRESH = (nn.Linear, nn.Conv2d, nn.BatchNorm2d, nn.MaxPool2d)
# Layers that do nothing in inference.
_IDLE = (nn.Dropout, nn.Identity)


def trace(model: nn.Module) -> fx.GraphModule | str:
    """The model as a graph that shares its tensors; or why there is none."""
    try:
        return fx.GraphModule(model, fx.Tracer().trace(model))
    except Exception as error:
        lines = str(error).strip().splitlines()
        return f"{type(model).__name__} cannot be traced ({type(error).__name__}: {lines[0] if lines else '-'})"


def prepare(network: fx.GraphModule) -> None:
    """Makes layers of the network exchangeable, and folds what it can. The model it came from is not changed.

    Batch norm is folded into the convolution before it; what idles is dropped; pooling functions become layers; a ReLU
    before a pooling goes behind it, where there is less to do; a ReLU that alone reads a layer's result overwrites it;
    `view` becomes `reshape`, since other kernels leave other memory orders.
    """
    for node in list(network.graph.nodes):
        _fold_batch_norm(network, node)
        _drop_idle(network, node)
        _pooling_as_layer(network, node)
        if node.op == "call_method" and node.target == "view":
            node.target = "reshape"
    for node in list(network.graph.nodes):
        if _is_relu(network, node):
            _pool_first(network, node)
            _relu_in_place(network, node)
    network.delete_all_unused_submodules()
    network.graph.lint()
    network.recompile()


def _fold_batch_norm(network: fx.GraphModule, node: fx.Node) -> None:
    norm, before = _layer(network, node), node.args[0] if node.args else None
    if type(norm) is not nn.BatchNorm2d or norm.running_mean is None or not isinstance(before, fx.Node):
        return
    conv = _layer(network, before)
    if type(conv) is not nn.Conv2d or has_hooks(conv) or has_hooks(norm):
        return
    if len(before.users) > 1 or _calls(network, before.target) > 1:
        return
    network.set_submodule(str(before.target), fuse_conv_bn_eval(copy.deepcopy(conv), norm))
    node.replace_all_uses_with(before)
    network.graph.erase_node(node)


def _drop_idle(network: fx.GraphModule, node: fx.Node) -> None:
    layer = _layer(network, node)
    if layer is not None and type(layer) in _IDLE and not has_hooks(layer):
        node.replace_all_uses_with(node.all_input_nodes[0])
        network.graph.erase_node(node)


def _pooling_as_layer(network: fx.GraphModule, node: fx.Node) -> None:
    if node.op != "call_function" or node.target is not F.max_pool2d:
        return
    names = ("input", "kernel_size", "stride", "padding", "dilation", "ceil_mode", "return_indices")
    given: dict[str, Any] = {**dict(zip(names, node.args, strict=False)), **node.kwargs}
    source = given.pop("input")
    if any(isinstance(value, fx.Node) for value in given.values()):
        return
    name = node.name
    while hasattr(network, name):
        name += "_"
    network.add_submodule(name, nn.MaxPool2d(**given))
    with network.graph.inserting_after(node):
        layer = network.graph.call_module(name, (source,))
    node.replace_all_uses_with(layer)
    network.graph.erase_node(node)


def _is_relu(network: fx.GraphModule, node: fx.Node) -> bool:
    layer = _layer(network, node)
    is_function = node.op == "call_function" and node.target in (F.relu, torch.relu)
    is_method = node.op == "call_method" and node.target == "relu"
    is_layer = type(layer) is nn.ReLU and not has_hooks(layer)
    return (is_function or is_method or is_layer) and len(node.all_input_nodes) == 1


def _pool_first(network: fx.GraphModule, relu: fx.Node) -> None:
    """The maximum of what is rectified is what the rectified maximum is."""
    pooling = next(iter(relu.users))
    layer = _layer(network, pooling)
    if len(relu.users) > 1 or type(layer) is not nn.MaxPool2d or layer.return_indices or has_hooks(layer):
        return
    relu.replace_all_uses_with(relu.all_input_nodes[0])
    pooling.append(relu)
    pooling.replace_all_uses_with(relu)
    relu.replace_input_with(relu.all_input_nodes[0], pooling)


def _relu_in_place(network: fx.GraphModule, node: fx.Node) -> None:
    before = node.all_input_nodes[0]
    source = _layer(network, before)
    if source is not None and type(source) in _FRESH and not has_hooks(source) and len(before.users) == 1:
        node.op, node.target, node.args, node.kwargs = "call_function", torch.relu_, (before,), {}


def _layer(network: fx.GraphModule, node: fx.Node) -> nn.Module | None:
    return network.get_submodule(str(node.target)) if node.op == "call_module" else None


def _calls(network: fx.GraphModule, target: Any) -> int:
    return sum(node.op == "call_module" and node.target == target for node in network.graph.nodes)
