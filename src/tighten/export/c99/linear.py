"""Matrices times vectors: text of C."""

from __future__ import annotations

import torch
from torch import Tensor

from tighten.export.c99.encoding import Encoded
from tighten.export.c99.function import Function, index, loop
from tighten.export.c99.kernel import Kernel, Where
from tighten.export.c99.operations import Linear
from tighten.export.c99.rows import kept, outputs
from tighten.export.c99.stages import finish
from tighten.export.c99.tables import Packed

_BYTE = 256
_FEWEST = 64
"""Outputs from which sums for all bytes pay."""


def linear(operation: Linear) -> Kernel:
    """The kernel that suits the weights."""
    encoded = Encoded.of(operation.weights, by_input=True)
    if encoded.form != "all":
        return PickedKernel(operation, encoded)
    if encoded.values.bits in (1, 2, 4) and len(operation.weights.base) >= _FEWEST:
        return BytesKernel(operation, encoded)
    return FullKernel(operation, encoded)


class _LinearKernel(Kernel):
    def __init__(self, operation: Linear, encoded: Encoded) -> None:
        self.operation, self.encoded = operation, encoded
        self.said = str(encoded)
        self.outputs, self.columns = operation.weights.base.shape

    def _finish(self, function: Function, where: Where, total: str) -> None:
        scale = "" if self.encoded.scale is None else f" * {function.floats('scale', self.encoded.scale)}[o]"
        bias = function.packed("bias", Packed.of(self.operation.weights.bias.float()), "o")
        finish(function, self.operation, lambda y, x: f"{total}{scale} + {bias}", where)

    def _finish_all(self, function: Function, where: Where) -> None:
        function.say(loop("o", self.outputs) + " {")
        self._finish(function, where, "out[o]")
        function.say("}")


class PickedKernel(_LinearKernel):
    """For each output, the kept weights times the inputs that they meet."""

    def write(self, function: Function, where: Where) -> None:
        with outputs(function, self.encoded, self.outputs):
            function.say("float sum = 0.0f;", depth=2)
            with kept(function, self.encoded, self.columns):
                place = index(("t", 1, self.columns))
                function.say(f"sum += {function.packed('values', self.encoded.values, 'k++')} * in[{place}];", depth=3)
            self._finish(function, where, "sum")


class FullKernel(_LinearKernel):
    """For each input that is not zero (after ReLU many are), what it adds to all outputs."""

    def write(self, function: Function, where: Where) -> None:
        value = function.packed("values", self.encoded.values, f"t * {self.outputs} + o")
        function.say(loop("o", self.outputs), "    out[o] = 0.0f;", loop("t", self.columns) + " {")
        function.say("const float s = in[t];", "if (s == 0.0f)", "    continue;", depth=2)
        function.say(loop("o", self.outputs), f"    out[o] += {value} * s;", depth=2)
        function.say("}")
        self._finish_all(function, where)


class BytesKernel(_LinearKernel):
    """For the few inputs whose weights share a byte: what each of 256 bytes adds, then one look-up for each output."""

    scratch = _BYTE

    def write(self, function: Function, where: Where) -> None:
        encoded, bits = self.encoded, self.encoded.values.bits
        levels = function.floats("levels", encoded.values.numbers)
        function.say(loop("o", self.outputs), "    out[o] = 0.0f;")
        function.say(f"for (int32_t t = 0; t < {self.columns}; t += {8 // bits}) {{", "    int32_t size = 1;")
        function.say("own[0] = 0.0f;", depth=2)
        function.say(f"for (int32_t i = t; i < t + {8 // bits} && i < {self.columns}; ++i) {{", depth=2)
        function.say(f"for (int32_t level = {len(encoded.values.numbers) - 1}; level >= 0; --level)", depth=3)
        function.say(f"    {loop('n', 'size')}", depth=3)
        function.say(f"        own[level * size + n] = own[n] + {levels}[level] * in[i];", depth=3)
        function.say(f"size *= {2**bits};", depth=3)
        function.say("}", loop("o", self.outputs), depth=2)
        function.say(f"    out[o] += own[*{function.bytes('values', self._bytes())}++];", depth=2)
        function.say("}")
        self._finish_all(function, where)

    def _bytes(self) -> list[int]:
        """For each few inputs, for each output, the indices of its weights in one byte, lowest bits first."""
        indices, bits = self.encoded.values.index, self.encoded.values.bits
        assert indices is not None
        by_input: Tensor = indices.long().reshape(self.columns, self.outputs)
        each = 8 // bits
        padded = torch.nn.functional.pad(by_input, (0, 0, 0, -self.columns % each)).reshape(-1, each, self.outputs)
        found: list[int] = (padded << (bits * torch.arange(each))[:, None]).sum(1).reshape(-1).tolist()
        return found
