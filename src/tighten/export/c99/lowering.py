"""From a traced model to a list of operations."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from torch import fx, nn

from tighten.codes import Code
from tighten.errors import ArtifactError
from tighten.export.c99.arguments import Unsupported
from tighten.export.c99.graph import Graph
from tighten.export.c99.operations import Each, Operation, View
from tighten.export.c99.supported import FUNCTIONS, METHODS, MODULES, WORDS
from tighten.folding.rules import is_plain
from tighten.folding.trace import Traced


def lower(traced: Traced, codes: Mapping[str, Code]) -> list[Operation]:
    """The operations of a model, in order; the last one writes the output.

    Definition: batch norm goes into the layer before it; what works entry by entry, and pooling, go into the operation
    before them where nothing else reads that.

    Args:
        traced: the model.
        codes: of its weights, by name.

    Raises:
        ArtifactError: it holds operations that cannot be written; all of them are named.
    """
    graph = Graph(traced, codes)
    refused: list[str] = []
    for node in traced.graph.nodes:
        if node in traced.sizes:
            continue
        if node.op == "placeholder":
            _open(graph, node, refused)
        elif node.op == "output":
            last = node
        elif node in traced.shapes or node.op.startswith("call_"):
            # What follows a refused operation is looked at too, as far as it can be: all are to be named.
            reason = _lowered(graph, node)
            if reason is not None:
                refused.append(f"{_place(traced, node)}{reason}")
    if not refused:
        result = last.args[0]
        if isinstance(result, fx.Node) and result in graph.views:
            _close(graph, graph.views[result])
        else:
            refused.append("the output, which is not one tensor of numbers")
    if refused:
        names = "; ".join(dict.fromkeys(refused))
        raise ArtifactError(
            f"cannot be written as C99: {names}. Supported are {WORDS}; export this network with --to onnx"
        )
    return graph.operations


def _open(graph: Graph, node: fx.Node, refused: list[str]) -> None:
    if graph.views:
        refused.append(f"the input '{node.target}', because there is another one")
        return
    try:
        graph.open(node)
    except Unsupported as error:
        refused.append(f"the input '{node.target}' ({error})")


def _lowered(graph: Graph, node: fx.Node) -> str | None:
    """None, or why the node cannot be written."""
    handler, leading = _handler(graph, node)
    if handler is None:
        return ""
    sources = [n for n in node.all_input_nodes if n not in graph.traced.sizes]
    if any(n not in graph.views for n in sources):
        return None  # its source was refused
    args, kwargs = fx.map_arg((node.args, node.kwargs), lambda n: graph.traced.sizes.get(n, n))
    try:
        bound = inspect.signature(handler).bind(graph, node, *leading, *args, **kwargs)
    except TypeError as error:
        return f" ({error})"
    try:
        graph.views[node] = handler(*bound.args, **bound.kwargs)
    except Unsupported as error:
        return f" ({error})"
    return None


def _handler(graph: Graph, node: fx.Node) -> tuple[Any, tuple[Any, ...]]:
    if node.op == "call_function":
        return FUNCTIONS.get(node.target), ()
    if node.op == "call_method":
        return METHODS.get(str(node.target)), ()
    if node.op != "call_module":
        return None, ()
    module = graph.traced.model.get_submodule(str(node.target))
    return (MODULES.get(type(module)) if is_plain(module) else None), (module,)


def _close(graph: Graph, view: View) -> None:
    """Lets the last operation write where the caller wants it."""
    if view.buffer.place == "input" or not (view.is_whole or view.is_flat):
        view = graph.write(Each("output", view, graph.buffer(view.shape)))
    view.buffer.place = "output"


def _place(traced: Traced, node: fx.Node) -> str:
    if node.op == "call_module":
        module: nn.Module = traced.model.get_submodule(str(node.target))
        more = "" if is_plain(module) else " with hooks or a forward of its own"
        return f"'{node.target}' ({type(module).__name__}{more})"
    inside = [str(path) for path in node.meta.get("nn_module_stack", {}) if path]
    where = f"in '{inside[-1].split('@')[0]}'" if inside else "in the model's own forward"
    name = node.target if isinstance(node.target, str) else getattr(node.target, "__name__", str(node.target))
    what = "the tensor" if node.op == "get_attr" else "the operation"
    return f"{what} '{name}' {where}"
