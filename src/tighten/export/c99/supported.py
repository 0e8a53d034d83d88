"""What can be written as C: each module, function and method of PyTorch, and what it becomes."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

from tighten.export.c99.arguments import (
    Unsupported,
    adaptive_pool,
    max_pool,
    mean_pool,
    pair,
    part_of,
    room_of,
    sides_of,
)
from tighten.export.c99.graph import Graph
from tighten.export.c99.operations import Affine, Clip, Conv, Linear, Place, Pool, Shape, View
from tighten.export.c99.weights import Weights

WORDS = (
    "convolution, linear, batch norm, ReLU, ReLU6, max and average pooling, flatten, sums of two tensors, "
    "slices, zero padding, means over all pixels"
)
Handler = Callable[..., View]


def _conv(graph: Graph, node: fx.Node, module: nn.Conv2d, x: fx.Node) -> View:
    view, sides = graph.views[x], sides_of(module)
    return graph.write(
        Conv(
            str(node.target),
            view,
            graph.buffer(graph.shape(node)),
            _weights(graph, str(node.target), module),
            pair(module.kernel_size),
            pair(module.stride),
            pair(module.dilation),
            sides,
            module.groups,
        )
    )


def _linear(graph: Graph, node: fx.Node, module: nn.Linear, x: fx.Node) -> View:
    if len(graph.traced.shapes[x]) != 2:
        raise Unsupported("of more than one axis")
    shape = graph.shape(node)
    features = graph.flat(f"{node.target}.input", x, (module.in_features, 1, 1))
    name = str(node.target)
    return graph.write(Linear(name, features, graph.buffer(shape), _weights(graph, name, module)))


def _weights(graph: Graph, name: str, module: nn.Module) -> Weights:
    weight, bias = module.get_parameter("weight"), module._parameters.get("bias")
    return Weights.of(weight, bias, graph.codes.get(f"{name}.weight"))


def _norm(graph: Graph, node: fx.Node, module: nn.BatchNorm2d, x: fx.Node) -> View:
    mean, variance = module.running_mean, module.running_var
    if mean is None or variance is None:
        raise Unsupported("without running statistics")
    factor = (variance.double() + module.eps).rsqrt()
    if module._parameters.get("weight") is not None:
        factor = factor * module.weight.detach().double()
    shift: Tensor = -mean.double() * factor
    if module._parameters.get("bias") is not None:
        shift = shift + module.bias.detach().double()
    return graph.then(node, x, Affine(factor, shift))


def _relu(graph: Graph, node: fx.Node, x: fx.Node, inplace: bool = False) -> View:
    return graph.then(node, x, Clip())


def _relu6(graph: Graph, node: fx.Node, x: fx.Node, inplace: bool = False) -> View:
    return graph.then(node, x, Clip(6.0))


def _same(graph: Graph, node: fx.Node, x: fx.Node) -> View:
    return graph.views[x]


def _dropout(
    graph: Graph, node: fx.Node, x: fx.Node, p: float = 0.5, training: bool = True, inplace: bool = False
) -> View:
    if training:
        raise Unsupported("with training=True")
    return graph.views[x]


def _max_pool(
    graph: Graph,
    node: fx.Node,
    x: fx.Node,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> View:
    return _pool(graph, node, x, max_pool(kernel_size, stride, padding, dilation, ceil_mode, return_indices))


def _mean_pool(
    graph: Graph,
    node: fx.Node,
    x: fx.Node,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: Any = None,
) -> View:
    return _pool(
        graph, node, x, mean_pool(kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override)
    )


def _adaptive_mean_pool(graph: Graph, node: fx.Node, x: fx.Node, output_size: Any) -> View:
    return _pool(graph, node, x, adaptive_pool("mean", output_size, graph.views[x].shape))


def _adaptive_max_pool(graph: Graph, node: fx.Node, x: fx.Node, output_size: Any, return_indices: bool = False) -> View:
    if return_indices:
        raise Unsupported("return_indices=True")
    return _pool(graph, node, x, adaptive_pool("max", output_size, graph.views[x].shape))


def _mean(graph: Graph, node: fx.Node, x: fx.Node, dim: Any = None, keepdim: bool = False) -> View:
    axes = {axis % 4 for axis in dim} if isinstance(dim, tuple | list) else {dim}
    shape = graph.views[x].shape
    if axes != {2, 3} or len(graph.traced.shapes[x]) != 4:
        raise Unsupported(f"over dim={dim}; over (2, 3) it can be")
    return _pool(graph, node, x, Pool("mean", shape[1:], shape[1:]))


def _pool(graph: Graph, node: fx.Node, x: fx.Node, pool: Pool) -> View:
    graph.shape(node)
    return graph.then(node, x, pool)


def _add(graph: Graph, node: fx.Node, x: Any, y: Any) -> View:
    for operand in (x, y):
        if not isinstance(operand, fx.Node):
            raise Unsupported(f"a sum with {operand!r}")
    return graph.sum(node, x, y)


def _reshape(graph: Graph, node: fx.Node, x: fx.Node, *_: Any, **__: Any) -> View:
    return graph.flat(node.name, x, graph.shape(node))


def _part(graph: Graph, node: fx.Node, x: fx.Node, index: Any) -> View:
    view = graph.views[x]
    if view.is_flat or len(graph.traced.shapes[x]) != 4:
        raise Unsupported("of what was flattened")
    return view.part(*part_of(index, view.shape))


def _pad(graph: Graph, node: fx.Node, x: fx.Node, pad: Any, mode: str = "constant", value: float | None = None) -> View:
    before, _ = room_of(pad, mode, value)
    return _placed(graph, node, x, before)


def _placed(graph: Graph, node: fx.Node, x: fx.Node, origin: Shape) -> View:
    return graph.write(Place(node.name, graph.views[x], graph.buffer(graph.shape(node)), origin))


FUNCTIONS: dict[Any, Handler] = {
    **dict.fromkeys((F.relu, torch.relu, torch.relu_), _relu),
    F.relu6: _relu6,
    **dict.fromkeys((F.dropout, F.dropout2d), _dropout),
    **dict.fromkeys((F.max_pool2d, torch.max_pool2d), _max_pool),
    F.avg_pool2d: _mean_pool,
    F.adaptive_avg_pool2d: _adaptive_mean_pool,
    F.adaptive_max_pool2d: _adaptive_max_pool,
    torch.mean: _mean,
    **dict.fromkeys((operator.add, operator.iadd, torch.add), _add),
    **dict.fromkeys((torch.flatten, torch.reshape, torch.squeeze, torch.unsqueeze), _reshape),
    operator.getitem: _part,
    F.pad: _pad,
}
METHODS: dict[str, Handler] = {
    **dict.fromkeys(("relu", "relu_"), _relu),
    "mean": _mean,
    **dict.fromkeys(("add", "add_"), _add),
    **dict.fromkeys(("flatten", "reshape", "view", "squeeze", "unsqueeze"), _reshape),
    **dict.fromkeys(("contiguous", "clone", "detach"), _same),
}
MODULES: dict[type[nn.Module], Handler] = {
    nn.Conv2d: _conv,
    nn.Linear: _linear,
    **dict.fromkeys((nn.BatchNorm1d, nn.BatchNorm2d), _norm),
    nn.ReLU: lambda graph, node, module, x: _relu(graph, node, x),
    nn.ReLU6: lambda graph, node, module, x: _relu6(graph, node, x),
    **dict.fromkeys(
        (nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d), lambda graph, node, module, x: _same(graph, node, x)
    ),
    **dict.fromkeys((nn.Flatten, nn.Unflatten), lambda graph, node, module, x: _reshape(graph, node, x)),
    nn.MaxPool2d: lambda graph, node, m, x: _max_pool(
        graph, node, x, m.kernel_size, m.stride, m.padding, m.dilation, m.ceil_mode, m.return_indices
    ),
    nn.AvgPool2d: lambda graph, node, m, x: _mean_pool(
        graph, node, x, m.kernel_size, m.stride, m.padding, m.ceil_mode, m.count_include_pad, m.divisor_override
    ),
    nn.AdaptiveAvgPool2d: lambda graph, node, m, x: _adaptive_mean_pool(graph, node, x, m.output_size),
    nn.AdaptiveMaxPool2d: lambda graph, node, m, x: _adaptive_max_pool(graph, node, x, m.output_size, m.return_indices),
    nn.ZeroPad2d: lambda graph, node, m, x: _pad(graph, node, x, m.padding),
}
