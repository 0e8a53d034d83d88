"""Convolutions: text of C."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tighten.export.c99.encoding import Encoded
from tighten.export.c99.function import Function, each, index, loop
from tighten.export.c99.kernel import Kernel, Where
from tighten.export.c99.operations import Conv
from tighten.export.c99.rows import kept, outputs
from tighten.export.c99.stages import finish
from tighten.export.c99.tables import Packed

_LONGEST_RUN = 7
"""Weights of a kernel's row that are used in one loop."""

Place = Callable[[str], str]
"""An expression, given where in the source it is."""


class ConvKernel(Kernel):
    """For each output channel, for each weight: the weight times the shifted source is added to all pixels at once.

    So picking weights one by one costs little beside the work. Where the step is 1 the sums have rows as far apart as
    those of the source: then it is one long loop over all rows, and what it computes between the rows is not used.
    """

    def __init__(self, operation: Conv) -> None:
        self.operation = operation
        self.encoded = Encoded.of(operation.weights)
        self.said = str(self.encoded)
        self.rows, self.columns = operation.size
        self.channel, self.down, self.right = operation.source.strides
        self.is_long = operation.stride == (1, 1) and operation.source.step == (1, 1, 1)
        self.pitch = self.down if self.is_long else self.columns
        self.scratch = (self.rows - 1) * self.pitch + self.columns

    def write(self, function: Function, where: Where) -> None:
        operation, encoded = self.operation, self.encoded
        count, columns = operation.weights.base.shape
        run = operation.kernel[1]
        bias = function.packed("bias", Packed.of(operation.weights.bias.float()), "o")
        scale = "" if encoded.scale is None else f" * {function.floats('scale', encoded.scale)}[o]"
        with outputs(function, encoded, count):
            function.say(f"const float b = {bias};", *each(self.scratch, "own[i] = b;"), depth=2)
            weight = function.packed("values", encoded.values, "k++") + scale
            if encoded.form == "all" and 1 < run <= _LONGEST_RUN:
                function.say(f"for (int32_t t = 0; t < {columns}; t += {run}) {{", depth=2)
                self._add(function, [weight] * run)
                function.say("}", depth=2)
            else:
                with kept(function, encoded, columns):
                    self._add(function, [weight])
            finish(function, operation, lambda y, x: f"own[{self._place(y, x)}]", where)

    def _add(self, function: Function, weights: list[str]) -> None:
        """What neighbouring weights add, the first of which is in column `t`."""
        step = self.operation.dilation[1] * self.right
        function.say(*(f"const float w{n} = {weight};" for n, weight in enumerate(weights)), depth=3)
        function.say(f"const float *s = in + {self._tap()};", depth=3)
        function.say(
            *self._everywhere(
                lambda at: " + ".join(f"w{n} * s[{at}{f' + {n * step}' if n else ''}]" for n in range(len(weights)))
            ),
            depth=3,
        )

    def _everywhere(self, term: Place) -> Iterator[str]:
        if self.is_long:
            yield from each(self.scratch, f"own[i] += {term('i')};")
            return
        down, right = self.operation.stride[0] * self.down, self.operation.stride[1] * self.right
        yield loop("y", self.rows)
        yield f"    {loop('x', self.columns)}"
        at = index(("y", down, self.rows), ("x", right, self.columns))
        yield f"        own[{self._place('y', 'x')}] += {term(at)};"

    def _place(self, y: str, x: str) -> str:
        return index((y, self.pitch, self.rows), (x, 1, self.columns))

    def _tap(self) -> str:
        """The distance in the source from the first weight of the first group to the one in column `t`."""
        operation = self.operation
        height, width = operation.kernel
        channels = operation.source.shape[0] // operation.groups
        outputs_each = len(operation.weights.base) // operation.groups
        return index(
            (f"o / {outputs_each}", channels * self.channel, operation.groups),
            (f"t / {height * width}" if height * width > 1 else "t", self.channel, channels),
            (f"t / {width} % {height}" if width > 1 else f"t % {height}", operation.dilation[0] * self.down, height),
            (f"t % {width}", operation.dilation[1] * self.right, width),
        )
