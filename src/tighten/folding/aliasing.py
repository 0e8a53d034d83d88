"""Operations that write into memory which something else reads."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from typing import Any

from torch import fx, nn

from tighten.folding.rules import Rule

_WRITERS: set[Any] = {operator.setitem, operator.iadd, operator.isub, operator.imul, operator.itruediv}


def hidden_write(graph: fx.Graph, model: nn.Module, rules: Mapping[fx.Node, Rule]) -> str | None:
    """The first operation that may change what another one reads; None where each node is what it was computed as."""
    for node in graph.nodes:
        written = _written(node, model)
        if isinstance(written, fx.Node) and _is_shared(written, rules):
            return str(node.name)
    return None


def _written(node: fx.Node, model: nn.Module) -> Any:
    if "out" in node.kwargs:
        return node.kwargs["out"]
    first = node.args[0] if node.args else None
    if node.op == "call_module":
        return first if getattr(model.get_submodule(str(node.target)), "inplace", False) else None
    if node.op not in ("call_function", "call_method"):
        return None
    name = node.target if isinstance(node.target, str) else getattr(node.target, "__name__", "")
    in_place = name.endswith("_") and not name.endswith("__")
    return first if in_place or node.kwargs.get("inplace") is True or node.target in _WRITERS else None


def _is_shared(node: fx.Node, rules: Mapping[fx.Node, Rule]) -> bool:
    """Whether anyone but one reader sees the memory of this node's result."""
    if len(node.users) > 1 or node.op == "get_attr":
        return True
    if node in rules and rules[node].is_fresh:
        return False
    return any(_is_shared(source, rules) for source in node.all_input_nodes)
