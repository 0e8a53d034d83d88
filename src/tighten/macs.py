"""Multiply-accumulates: how often each weight works for one example."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

from tighten.errors import PlanError


def macs_per_weight(model: nn.Module, example: Any) -> dict[str, int]:
    """The multiply-accumulates that one weight of each layer takes part in for one example.

    Definition: a weight of a convolution works once for each place of its output (of its input, where it is
    transposed; places in the padding count), a weight of a linear layer once for each vector that it is
    given, such as each token. What a module does in several calls adds up, and so do modules that share a
    weight. The multiply-accumulates of a layer are these times its weights.

    One forward pass in evaluation mode finds the numbers; the model is left as it was. Listed are
    the weights of `Conv1d/2d/3d`, `ConvTranspose1d/2d/3d` and `Linear` that are called as modules: not those
    that another module reads by itself, as `nn.MultiheadAttention` does.

    Args:
        model: any network.
        example: what it is called with: a tensor, a tuple of arguments or a mapping of named ones. The first
            axis of the first tensor in it counts the examples; one is enough.

    Raises:
        PlanError: there is no tensor in the example, or no such layer saw it.
    """
    named, arguments = ((), example) if isinstance(example, Mapping) else (example, {})
    positional = named if isinstance(named, tuple | list) else (named,)
    tensors = [value for value in (*positional, *arguments.values()) if isinstance(value, Tensor) and value.ndim]
    if not tensors or len(tensors[0]) == 0:
        raise PlanError("the example holds no tensor with examples along its first axis: give such as inputs[:1]")
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    uses: dict[str, int] = {}

    def count(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Tensor) -> None:
        name = names.get(id(module.weight))
        if name is not None:  # a weight that is computed from others is no parameter
            uses[name] = uses.get(name, 0) + _places(module, args[0] if args else kwargs["input"], output)

    layers = [module for module in model.modules() if isinstance(module, _ConvNd | nn.Linear)]
    hooks = [layer.register_forward_hook(count, with_kwargs=True) for layer in layers]
    try:
        with _evaluating(model), torch.no_grad():
            model(*positional, **arguments)
    finally:
        for hook in hooks:
            hook.remove()
    if not uses:
        raise PlanError(f"no convolution or linear layer of {type(model).__name__} saw the example: give another one")
    return {name: math.ceil(uses[name] / len(tensors[0])) for name in names.values() if name in uses}


def _places(module: nn.Module, given: Tensor, output: Tensor) -> int:
    if isinstance(module, _ConvTransposeNd):
        return given.numel() // module.in_channels
    if isinstance(module, _ConvNd):
        return output.numel() // module.out_channels
    assert isinstance(module, nn.Linear)
    return output.numel() // module.out_features


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    before = {module: module.training for module in model.modules()}
    model.eval()
    try:
        yield
    finally:
        for module, training in before.items():
            module.training = training
