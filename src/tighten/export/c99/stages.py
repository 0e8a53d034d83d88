"""What follows the sum of a layer, entry by entry: text of C."""

from __future__ import annotations

from collections.abc import Callable

from tighten.export.c99.function import Function, index, loop
from tighten.export.c99.operations import Add, Affine, Clip, Operation, Pool, Stage, View
from tighten.export.c99.tables import number

Read = Callable[[str, str], str]
"""The expression of the entry at a row and a column of the current channel."""

_UNROLLED = 9
"""Entries of a window that are written out one by one: a loop would cost more than they do."""


def finish(function: Function, operation: Operation, read: Read, where: Callable[[View], str]) -> None:
    """The loops over one channel `o` that carry out all stages and write the result.

    Args:
        function: what is written.
        operation: whose stages.
        read: what goes in.
        where: the address of what a view starts with.
    """
    pool = operation.pool
    place = len(operation.stages) if pool is None else operation.stages.index(pool)
    before = _Stages(function, operation.stages[:place], where, 0)
    after = _Stages(function, operation.stages[place + 1 :], where, place)
    channels, rows, columns = operation.out.shape
    strides, start = View.of(operation.out).strides, View.of(operation.out).offset
    depth = 2
    for name, count in (("y", rows), ("x", columns)):
        if count > 1:
            function.say(f"{loop(name, count)} {{", depth=depth)
            depth += 1
    if pool is None:
        function.say(f"float v = {read('y', 'x')};", *before.on("v", "y", "x"), depth=depth)
    else:
        function.say(*_pooled(pool, operation, read, before, after), depth=depth)
    function.say(*after.on("v", "y", "x"), depth=depth)
    target = index(("o", strides[0], channels), ("y", strides[1], rows), ("x", strides[2], columns), plus=start)
    function.say(f"out[{target}] = v;", depth=depth)
    for level in range(depth - 1, 1, -1):
        function.say("}", depth=level)


class _Stages:
    """Stages without pooling, with their parameters declared."""

    def __init__(self, function: Function, stages: list[Stage], where: Callable[[View], str], first: int) -> None:
        self._named = [(str(first + n), stage) for n, stage in enumerate(stages)]
        for name, stage in self._named:
            if isinstance(stage, Affine):
                function.floats(f"factor{name}", stage.factor)
                function.floats(f"shift{name}", stage.shift)
            elif isinstance(stage, Add):
                function.memory(f"other{name}", where(stage.other))

    def __bool__(self) -> bool:
        return bool(self._named)

    def on(self, variable: str, row: str, column: str) -> list[str]:
        """The statements that change a variable."""
        return [f"{variable} {_change(stage, name, variable, row, column)};" for name, stage in self._named]

    def begin_at_zero(self) -> bool:
        """Whether the first stage takes all below zero to zero; then it is left out, for one who begins there."""
        first = bool(self._named) and self._named[0][1] == Clip()
        if first:
            self._named.pop(0)
        return first


def _change(stage: Stage, name: str, variable: str, row: str, column: str) -> str:
    match stage:
        case Affine():
            return f"= {variable} * factor{name}[o] + shift{name}[o]"
        case Add(other=view):
            channel, down, right = view.strides
            channels, rows, columns = view.shape
            at = index(("o", channel, channels), (row, down, rows), (column, right, columns))
            return f"+= other{name}[{at}]"
        case Clip(most=None):
            return f"= 0.0f > {variable} ? 0.0f : {variable}"
        case Clip(most=float(most)):
            return f"= 0.0f > {variable} ? 0.0f : {variable} > {number(most)} ? {number(most)} : {variable}"
    raise AssertionError(f"{stage} does not work entry by entry")


def _pooled(pool: Pool, operation: Operation, read: Read, before: _Stages, after: _Stages) -> list[str]:
    """The statements that make `v` of a window."""
    is_max, is_clipped = pool.kind == "max", any(pool.sides)
    height, width = pool.window
    (_, rows, columns), size = operation.out.shape, operation.size
    top = _start("y", pool.stride[0], rows, pool.sides[0])
    left = _start("x", pool.stride[1], columns, pool.sides[2])
    lines = [f"float v = {'-FLT_MAX' if is_max and not after.begin_at_zero() else '0.0f'};"]
    step = "v = a > v ? a : v;" if is_max else "v += a;"
    if not is_clipped and not before and height * width <= _UNROLLED:
        entries = [read(f"({top} + {j})", f"({left} + {i})") for j in range(height) for i in range(width)]
        lines += [f"{{ const float a = {entry}; {step} }}" for entry in entries]
    else:
        bottom, right = f"{top} + {height}", f"{left} + {width}"
        if is_clipped:
            lines += [*_clipped("j", top, bottom, size[0]), *_clipped("i", left, right, size[1])]
            top, bottom, left, right = "j0", "j1", "i0", "i1"
        lines += [loop("j", bottom, top), f"    {loop('i', right, left)} {{"]
        inner = [f"float a = {read('j', 'i')};", *before.on("a", "j", "i"), step]
        lines += [*(f"        {line}" for line in inner), "    }"]
    if not is_max:
        fixed = pool.counts_padding or not is_clipped
        lines.append(f"v /= {number(height * width) if fixed else '(float)((j1 - j0) * (i1 - i0))'};")
    return lines


def _start(variable: str, stride: int, count: int, padding: int) -> str:
    """Where the window of an output starts."""
    start = index((variable, stride, count))
    return f"{start} - {padding}" if padding else start


def _clipped(variable: str, start: str, end: str, size: int) -> list[str]:
    """The first and one after the last entry of a window that lie within the channel."""
    return [
        f"const int32_t {variable}0 = {start} < 0 ? 0 : {start};",
        f"const int32_t {variable}1 = {end} > {size} ? {size} : {end};",
    ]
