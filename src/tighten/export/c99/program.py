"""A list of operations as the text of a .c and a .h file."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from tighten.export.c99.function import Function, loop
from tighten.export.c99.kernel import Kernel
from tighten.export.c99.kernels import kernel_of
from tighten.export.c99.memory import arena
from tighten.export.c99.operations import (
    Add,
    Affine,
    Clip,
    Conv,
    Linear,
    Operation,
    Place,
    Pool,
    Shape,
    Stage,
    View,
)
from tighten.export.c99.tables import Tables

_HELPERS = {
    " gap(": """\
/* The distance to the next weight that is kept. 255 goes on in the next byte. */
static int32_t gap(const uint8_t **gaps)
{
    int32_t sum = 0;
    while (**gaps == 255) {
        sum += 255;
        ++*gaps;
    }
    return sum + *(*gaps)++;
}
""",
    "[field(": """\
/* The index of a few bits at one place of a list, lowest bits first. */
static uint32_t field(const uint8_t *list, int32_t place, int32_t bits)
{
    const uint32_t at = (uint32_t)place * (uint32_t)bits;
    const uint32_t two = list[at >> 3] | (uint32_t)list[(at >> 3) + 1] << 8;
    return two >> (at & 7) & ((1u << bits) - 1u);
}
""",
}


@dataclass(frozen=True)
class Program:
    """What is written, and what there is to say of it.

    Args:
        source: of the .c file.
        header: of the .h file.
        lines: for people.
    """

    source: str
    header: str
    lines: tuple[str, ...]


def program(operations: Sequence[Operation], stem: str) -> Program:
    """The program of a network whose first operation reads the input and whose last one writes the output.

    Args:
        operations: in order, with what they read laid out.
        stem: the name of the files.
    """
    name = c_name(stem)
    kernels = [kernel_of(operation) for operation in operations]
    offsets, scratch, floats = arena(operations, [kernel.scratch for kernel in kernels])
    tables = Tables()
    functions: dict[str, str] = {}
    calls, layers = [], []

    def where(view: View, before: int = 0) -> str:
        return _at(view.buffer.place, view.offset + offsets.get(view.buffer, 0) - before)

    for number, (operation, kernel) in enumerate(zip(operations, kernels, strict=True)):
        function = Function(c_name(operation.name), tables)
        function.memory("in", where(operation.source, _corner(operation)))
        function.memory("out", where(View(operation.out, operation.out.shape, is_flat=True)), is_written=True)
        if kernel.scratch:
            function.memory("own", _at("arena", scratch[number]), is_written=True)
        if any(operation.out.halo) or isinstance(operation, Place):
            function.say(loop("i", operation.out.floats), "    out[i] = 0.0f;")
        kernel.write(function, where)
        # Layers of the same form differ in their tables only: they share a function.
        called = functions.setdefault(_body(function), f"run_{number}_{function.name}")
        calls.append(f"    {called}({', '.join(argument for _, argument in function.parameters)});")
        layers.append(_layer(operation, kernel))
    lines = (
        *layers,
        f"tables: {tables.bytes:,} bytes, read-only",
        f"arena: {floats * 4:,} bytes, static; no heap",
    )
    helpers = [text for word, text in _HELPERS.items() if any(word in body for body in functions)]
    source = "\n".join(
        [
            *(f"{'   ' if n else '/* '}{line}" for n, line in enumerate(lines)),
            "   One call at a time: they share the arena. Written by tighten. */",
            "",
            f'#include "{stem}.h"',
            "",
            "#include <float.h>",
            "#include <stdint.h>",
            "",
            tables.text(),
            "",
            *helpers,
            *(f"static void {called}{body}" for body, called in functions.items()),
            *([f"static float arena[{floats}];", ""] if floats else []),
            f"void {name}_run(const float *input, float *output)",
            "{",
            *calls,
            "}",
            "",
        ]
    )
    return Program(source, _header(name, stem, operations, floats * 4), lines)


def c_name(text: str) -> str:
    """The text as a name in C."""
    name = re.sub(r"[^0-9A-Za-z_]", "_", text)
    return f"_{name}" if not name or name[0].isdigit() else name


def _corner(operation: Operation) -> int:
    """How far before the first entry of its source the first window of an operation starts."""
    if not isinstance(operation, Conv):
        return 0
    above, _, left, _ = operation.sides
    return above * operation.source.strides[1] + left * operation.source.strides[2]


def _at(base: str, offset: int) -> str:
    return f"{base} + {offset}" if offset else base


def _body(function: Function) -> str:
    declared = ", ".join(declaration for declaration, _ in function.parameters)
    return "\n".join([f"({declared})", "{", *function.lines, "}", ""])


def _layer(operation: Operation, kernel: Kernel) -> str:
    what = type(operation).__name__.lower()
    names = {"each": "copy" if not operation.stages else "", "place": "zero padding", "conv": "convolution"}
    parts = [names.get(what, what), *(_stage(stage) for stage in operation.stages)]
    sizes = f"{_size(operation.source.shape)} to {_size(operation.out.shape)}"
    line = f"{operation.name}: {', '.join(part for part in parts if part)}, {sizes}"
    if isinstance(operation, Conv | Linear):
        line += f"; {operation.weights.kept:,} weights, {kernel.said}"
    return line


def _stage(stage: Stage) -> str:
    match stage:
        case Pool():
            return f"{stage.kind} pooling"
        case Clip():
            return "ReLU" if stage.most is None else f"ReLU{stage.most:g}"
        case Add():
            return "sum"
        case Affine():
            return "batch norm"


def _size(shape: Shape) -> str:
    return " x ".join(map(str, shape if shape[1:] != (1, 1) else shape[:1]))


def _header(name: str, stem: str, operations: Sequence[Operation], arena_bytes: int) -> str:
    given, made = operations[0].source.buffer.shape, operations[-1].out
    macro = name.upper()
    return f"""\
/* The network of {stem}.c. Written by tighten. */
#ifndef {macro}_H
#define {macro}_H

#define {macro}_INPUTS {given[0] * given[1] * given[2]} /* {_size(given)}, row by row */
#define {macro}_OUTPUTS {made.floats}
#define {macro}_ARENA_BYTES {arena_bytes} /* static memory of the network, beside input and output */

#ifdef __cplusplus
extern "C" {{
#endif

/* Not for two threads at once. All numbers must be finite; input and output must not overlap. */
void {name}_run(const float *input, float *output);

#ifdef __cplusplus
}}
#endif

#endif
"""
