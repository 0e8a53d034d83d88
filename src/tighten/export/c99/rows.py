"""Loops over a matrix that is read row by row: text of C."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tighten.export.c99.encoding import Encoded
from tighten.export.c99.function import Function, loop


@contextmanager
def outputs(function: Function, encoded: Encoded, count: int) -> Iterator[None]:
    """A loop over the rows `o`."""
    function.say("int32_t k = 0;")
    if encoded.form == "gaps":
        function.say(f"int32_t at = gap(&{function.bytes('gaps', encoded.positions)});")
    function.say(loop("o", count) + " {")
    yield
    function.say("}")


@contextmanager
def kept(function: Function, encoded: Encoded, columns: int) -> Iterator[None]:
    """Within it, a loop over the columns `t` that hold a weight; `k` is to go on by one each time.

    Where there is one column, the loop may have no `t`.
    """
    if encoded.form == "gaps":
        function.say(f"for (; at < (o + 1) * {columns}; at += gap(&gaps)) {{", depth=2)
        if columns > 1:
            function.say(f"const int32_t t = at - o * {columns};", depth=3)
    else:
        function.say(loop("t", columns) + " {", depth=2)
    if encoded.form == "bits":
        bits = function.bytes("kept", encoded.positions)
        function.say(f"const int32_t n = o * {columns} + t;", f"if (!({bits}[n >> 3] >> (n & 7) & 1))", depth=3)
        function.say("    continue;", depth=3)
    yield
    function.say("}", depth=2)
