"""The kernel of each operation."""

from __future__ import annotations

from typing import assert_never

from tighten.export.c99.convolution import ConvKernel
from tighten.export.c99.function import Function, index, loop
from tighten.export.c99.kernel import Kernel, Where
from tighten.export.c99.linear import linear
from tighten.export.c99.operations import Conv, Each, Linear, Operation, Place, View
from tighten.export.c99.stages import finish


def kernel_of(operation: Operation) -> Kernel:
    """How an operation is computed."""
    match operation:
        case Conv():
            return ConvKernel(operation)
        case Linear():
            return linear(operation)
        case Each():
            return EachKernel(operation)
        case Place():
            return PlaceKernel(operation)
        case _:
            assert_never(operation)


class EachKernel(Kernel):
    """Stages on what is there already."""

    def __init__(self, operation: Each) -> None:
        self.operation = operation

    def write(self, function: Function, where: Where) -> None:
        (channels, rows, columns), (channel, down, right) = self.operation.source.shape, self.operation.source.strides

        def read(y: str, x: str) -> str:
            return f"in[{index(('o', channel, channels), (y, down, rows), (x, right, columns))}]"

        function.say(loop("o", channels) + " {")
        finish(function, self.operation, read, where)
        function.say("}")


class PlaceKernel(Kernel):
    """A copy into zeros."""

    def __init__(self, operation: Place) -> None:
        self.operation = operation

    def write(self, function: Function, where: Where) -> None:
        operation, out = self.operation, View.of(self.operation.out)
        plus = out.offset + sum(a * b for a, b in zip(operation.origin, out.strides, strict=True))
        names, shape = ("o", "y", "x"), operation.source.shape
        source = index(*zip(names, operation.source.strides, shape, strict=True))
        target = index(*zip(names, out.strides, shape, strict=True), plus=plus)
        for depth, (name, count) in enumerate(zip(names, shape, strict=True), 1):
            function.say(loop(name, count), depth=depth)
        function.say(f"out[{target}] = in[{source}];", depth=4)
