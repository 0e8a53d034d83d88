"""A model as a graph of operations, traced on a copy that nobody else sees."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn

from tighten.errors import PlanError
from tighten.folding.aliasing import hidden_write
from tighten.folding.rules import Rule, rule_of

_SIZE_METHODS = {"size", "dim", "numel"}
_SIZE_ATTRIBUTES = {"shape", "ndim", "dtype", "device"}


@dataclass(frozen=True, eq=False)
class Traced:
    """What is known of a model before its weights are looked at.

    Args:
        model: the copy, in eval mode, on the CPU, in float64.
        graph: its operations, in the order of computation.
        shapes: of the nodes that give floating-point tensors.
        sizes: what the nodes give that depend on shapes alone.
        rules: the nodes that are understood.
    """

    model: nn.Module
    graph: fx.Graph
    shapes: dict[fx.Node, torch.Size]
    sizes: dict[fx.Node, Any]
    rules: dict[fx.Node, Rule]

    @property
    def opaque(self) -> list[fx.Node]:
        """The operations that are not understood."""
        calls = [n for n in self.graph.nodes if n.op.startswith("call_")]
        return [n for n in calls if n not in self.rules and n not in self.sizes]


def trace(model: nn.Module, example: tuple[Any, ...]) -> Traced | str:
    """The graph of a model; or why there is none.

    Raises:
        PlanError: the example is empty, or the model does not take it.
    """
    if any(isinstance(x, Tensor) and x.numel() == 0 for x in example):
        raise PlanError("the example is empty: give at least one input, with the batch axis")
    try:
        own = copy.deepcopy(model).eval()
    except Exception as error:
        return f"{type(model).__name__} cannot be copied ({_first_line(error)})"
    with torch.no_grad():
        try:
            expected = list(_tensors(own(*_cloned(example))))
        except Exception as error:
            shapes = [tuple(x.shape) if isinstance(x, Tensor) else x for x in example]
            raise PlanError(
                f"{type(model).__name__} does not take the example of shape {', '.join(map(str, shapes))} "
                f"({_first_line(error)}): give one batch of inputs, on the model's device"
            ) from error
        try:
            graph = fx.Tracer().trace(own)
            seen = _Seen(fx.GraphModule(own, graph))
            found = list(_tensors(seen.run(*_cloned(example))))
        except Exception as error:
            return f"{type(model).__name__} cannot be traced ({_first_line(error)})"
    if len(found) != len(expected) or not all(map(_close, found, expected)):
        return f"{type(model).__name__} does something else when it is traced: its forward depends on values"
    own.cpu().double()
    rules = {n: rule for n in graph.nodes if (rule := rule_of(n, own, seen.shapes, seen.sizes))}
    if (writer := hidden_write(graph, own, rules)) is not None:
        return f"'{writer}' changes a tensor in place that is read elsewhere: write it without inplace"
    return Traced(own, graph, seen.shapes, seen.sizes, rules)


class _Seen(fx.Interpreter):
    """A run that remembers what kind of result each node gave."""

    def __init__(self, module: fx.GraphModule) -> None:
        super().__init__(module)
        self.shapes: dict[fx.Node, torch.Size] = {}
        self.sizes: dict[fx.Node, Any] = {}

    def run_node(self, n: fx.Node) -> Any:
        result = super().run_node(n)
        if isinstance(result, Tensor):
            if result.is_floating_point():
                self.shapes[n] = result.shape
        elif self._is_size(n):
            self.sizes[n] = result
        return result

    def _is_size(self, node: fx.Node) -> bool:
        if node.op == "call_method" and node.target in _SIZE_METHODS:
            return True
        if node.target is getattr and node.args[1] in _SIZE_ATTRIBUTES:
            return True
        inputs = node.all_input_nodes
        return node.op.startswith("call_") and bool(inputs) and all(n in self.sizes for n in inputs)


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, dict | list | tuple):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _tensors(part)


def _close(a: Tensor, b: Tensor) -> bool:
    if a.shape != b.shape or a.dtype != b.dtype:
        return False
    return torch.allclose(a, b, rtol=1e-3, atol=1e-5, equal_nan=True)


def _cloned(example: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(x.detach().clone() if isinstance(x, Tensor) else x for x in example)


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0] if lines else 'no message'}"
