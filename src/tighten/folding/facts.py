"""Which entries of each tensor are always the same, and which ones the outputs depend on.

Both are found entry by entry for the shapes of the example, so that padding, pooling, flattening, residual sums and
concatenation need no special care.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

import torch
from torch import Tensor, fx

from tighten.folding.trace import Traced


@dataclass(frozen=True, eq=False)
class Known:
    """What is known of a tensor whatever the inputs are.

    Args:
        unknown: 1 where an entry depends on the inputs, else 0.
        value: the other entries; 0 where unknown.
    """

    unknown: Tensor
    value: Tensor


@torch.no_grad()
def constants(traced: Traced) -> dict[fx.Node, Known]:
    """What is known of the result of each node that gives a floating-point tensor. Cost: about two forward passes."""
    known: dict[fx.Node, Known] = {}
    for node in traced.graph.nodes:
        if node in traced.shapes:
            known[node] = _known(traced, node, known)
    return known


def reads(traced: Traced) -> dict[fx.Node, Tensor]:
    """1 where an output of the model may depend on an entry, else 0. Cost: about a backward pass."""
    read = {node: torch.zeros(shape, dtype=torch.float64) for node, shape in traced.shapes.items()}
    for node in reversed(traced.graph.nodes):
        sources = [source for source in node.all_input_nodes if source in read]
        if node in traced.rules:
            if bool(read[node].any()):
                _read_back(traced, node, read, sources)
        elif node not in traced.sizes:
            for source in sources:
                read[source].fill_(1)
    return read


def _known(traced: Traced, node: fx.Node, known: Mapping[fx.Node, Known]) -> Known:
    shape = traced.shapes[node]
    nothing = Known(torch.ones(shape, dtype=torch.float64), torch.zeros(shape, dtype=torch.float64))
    if node.op == "get_attr":
        value = attrgetter(str(node.target))(traced.model).detach().cpu().double()
        return Known(torch.zeros_like(value), value)
    if node not in traced.rules:
        return nothing
    rule = traced.rules[node]
    spread = _called(rule.spread, traced, node, {n: k.unknown for n, k in known.items()})
    # A copy, because operations in place would write into what is known of their argument.
    value = _called(rule.value, traced, node, {n: known[n].value.clone() for n in node.all_input_nodes if n in known})
    if spread.shape != shape or value.shape != shape:
        return nothing
    unknown = (spread > 0) | ~torch.isfinite(value)
    return Known(unknown.double(), value.masked_fill(unknown, 0.0))


def _read_back(traced: Traced, node: fx.Node, read: Mapping[fx.Node, Tensor], sources: list[fx.Node]) -> None:
    leaves = {n: torch.zeros(traced.shapes[n], dtype=torch.float64, requires_grad=True) for n in sources}
    with torch.enable_grad():
        out = _called(traced.rules[node].spread, traced, node, leaves)
    if out.shape != read[node].shape:
        gradients: tuple[Tensor | None, ...] = tuple(torch.ones_like(leaf) for leaf in leaves.values())
    else:
        gradients = torch.autograd.grad(out, list(leaves.values()), read[node], allow_unused=True)
    for source, gradient in zip(sources, gradients, strict=True):
        if gradient is not None:
            read[source].masked_fill_(gradient > 0, 1)


def _called(operation: Any, traced: Traced, node: fx.Node, tensors: Mapping[fx.Node, Tensor]) -> Tensor:
    def at(n: fx.Node) -> Any:
        return tensors[n] if n in tensors else traced.sizes[n]

    out: Tensor = operation(*fx.map_arg(node.args, at), **fx.map_arg(node.kwargs, at))
    return out
