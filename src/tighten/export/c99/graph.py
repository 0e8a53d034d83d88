"""The operations found so far, and what each node of the traced model is among them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from torch import fx

from tighten.codes import Code
from tighten.export.c99.arguments import Unsupported
from tighten.export.c99.operations import (
    Add,
    Affine,
    Buffer,
    Clip,
    Conv,
    Each,
    Linear,
    Operation,
    Pool,
    Shape,
    Stage,
    View,
)
from tighten.folding.trace import Traced


@dataclass(eq=False)
class Graph:
    """What is built while the nodes are gone through in order.

    Args:
        traced: the model.
        codes: of its weights, by name.
    """

    traced: Traced
    codes: Mapping[str, Code]
    views: dict[fx.Node, View] = field(default_factory=dict)
    operations: list[Operation] = field(default_factory=list)

    def open(self, node: fx.Node) -> None:
        """The node is the input."""
        self.views[node] = View.of(Buffer(self.shape(node), "input"))

    def shape(self, node: fx.Node) -> Shape:
        """Channels, height and width of the node's result."""
        shape = tuple(self.traced.shapes.get(node, ()))
        if len(shape) == 2 and shape[0] == 1:
            return shape[1], 1, 1
        if len(shape) == 4 and shape[0] == 1:
            return shape[1], shape[2], shape[3]
        raise Unsupported(f"a result of shape {list(shape)}; [N, features] and [N, channels, height, width] can be")

    def buffer(self, shape: Shape) -> Buffer:
        """A new one in the arena."""
        return Buffer(shape)

    def write(self, operation: Operation) -> View:
        """One more operation; gives what it writes."""
        self.operations.append(operation)
        return View.of(operation.out)

    def flat(self, name: str, node: fx.Node, shape: Shape) -> View:
        """The node's result under another shape."""
        view = self.views[node]
        if not view.is_flat and not view.is_whole:
            view = self.write(Each(name, view, Buffer(view.shape)))
        return replace(view, shape=shape, is_flat=True) if shape != view.buffer.shape else View.of(view.buffer)

    def then(self, node: fx.Node, source: fx.Node, stage: Stage) -> View:
        """The stage after what gave `source`: part of that operation where possible, else one of its own."""
        view = self.views[source]
        before = self._writer(view)
        if before is not None and self._is_sole(source) and self._takes(before, stage):
            return self._extended(before, stage)
        return self.write(Each(node.name, view, Buffer(self.shape(node)), stages=[stage]))

    def sum(self, node: fx.Node, first: fx.Node, second: fx.Node) -> View:
        """The sum of two results, part of the later one's operation where possible."""
        one, other = self.views[first], self.views[second]
        if one.shape != other.shape:
            raise Unsupported(f"a sum of shapes {list(one.shape)} and {list(other.shape)}")
        for taken, added in ((first, other), (second, one)):
            operation = self._writer(self.views[taken])
            if operation is None or not self._is_sole(taken) or not self._takes(operation, Add(added)):
                continue
            if self._is_ready(added, operation):
                return self._extended(operation, Add(added))
        return self.write(Each(node.name, one, Buffer(one.shape), stages=[Add(other)]))

    def _is_ready(self, view: View, reader: Operation) -> bool:
        """Whether a view can be written before an operation; what writes it is moved up where that is needed."""
        place = self.operations.index(reader)
        known = {id(operation.out): number for number, operation in enumerate(self.operations)}
        if known.get(id(view.buffer), -1) < place:
            return True
        writer = self.operations[known[id(view.buffer)]]
        if writer is reader or any(known.get(id(read.buffer), -1) >= place for read in writer.reads):
            return False
        self.operations.remove(writer)
        self.operations.insert(place, writer)
        return True

    def _writer(self, view: View) -> Operation | None:
        if not view.is_whole:
            return None
        return next((o for o in self.operations if o.out is view.buffer), None)

    def _is_sole(self, node: fx.Node) -> bool:
        """Whether one node alone reads this result, under whatever names it goes."""
        if len(node.users) != 1:
            return False
        buffer = self.views[node].buffer
        others = [n for n in node.all_input_nodes if n in self.views and self.views[n].buffer is buffer]
        return all(self._is_sole(n) for n in others)

    def _takes(self, operation: Operation, stage: Stage) -> bool:
        if isinstance(stage, Pool):
            return operation.pool is None and isinstance(operation, Conv | Each)
        return isinstance(operation, Conv | Each | Linear)

    def _extended(self, operation: Operation, stage: Stage) -> View:
        stages = operation.stages
        match stage:
            case Affine(factor=factor, shift=shift) if isinstance(operation, Conv | Linear) and not stages:
                operation.weights = operation.weights.followed_by(factor, shift)
            case Pool(kind="max") if stages and isinstance(stages[-1], Clip):
                # What rises with its argument can as well come after the largest is chosen: less of it is done then.
                stages.insert(-1, stage)
            case _:
                stages.append(stage)
        if isinstance(stage, Pool):
            operation.out.shape = pooled(operation.out.shape, stage)
        return View.of(operation.out)


def pooled(shape: Shape, pool: Pool) -> Shape:
    """What pooling leaves."""
    above, below, left, right = pool.sides
    rows = (shape[1] + above + below - pool.window[0]) // pool.stride[0] + 1
    columns = (shape[2] + left + right - pool.window[1]) // pool.stride[1] + 1
    return shape[0], rows, columns
