"""The text of one C function, and of the call to it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from torch import Tensor

from tighten.export.c99.tables import Packed, Tables


@dataclass(eq=False)
class Function:
    """A function that reads tables and buffers; everything else it knows.

    Args:
        name: of the operation, as a part of C names.
        tables: where its arrays go.
        lines: its body.
        parameters: declaration and, in the one call of it, argument.
    """

    name: str
    tables: Tables
    lines: list[str] = field(default_factory=list)
    parameters: list[tuple[str, str]] = field(default_factory=list)

    def say(self, *lines: str, depth: int = 1) -> None:
        """More lines of the body, indented."""
        self.lines += ["    " * depth + line for line in lines]

    def bytes(self, what: str, numbers: list[int]) -> str:
        """A table of bytes as a parameter; gives its name."""
        return self._parameter("uint8_t", what, self.tables.bytes_(f"{self.name}_{what}", numbers))

    def floats(self, what: str, numbers: Tensor) -> str:
        """A table of floats as a parameter; gives its name."""
        return self._parameter("float", what, self.tables.floats(f"{self.name}_{what}", numbers))

    def packed(self, what: str, numbers: Packed, place: str) -> str:
        """A list of numbers as a parameter or two; gives the expression of the one at `place`."""
        if numbers.index is None:
            return f"{self.floats(what, numbers.numbers)}[{place}]"
        levels = self.floats(f"{what}_levels", numbers.numbers)
        return f"{levels}[field({self.bytes(what, numbers.packed_index())}, {place}, {numbers.bits})]"

    def memory(self, what: str, where: str, *, is_written: bool = False) -> None:
        """A buffer as a parameter."""
        self.parameters.append((f"{'' if is_written else 'const '}float *restrict {what}", where))

    def _parameter(self, kind: str, what: str, argument: str) -> str:
        self.parameters.append((f"const {kind} *{what}", argument))
        return what


def index(*terms: tuple[str, int, int], plus: int = 0) -> str:
    """The sum of `variable * stride`, without the variables that are always zero.

    Args:
        terms: variable, stride, and how many values it takes.
        plus: a constant.
    """
    parts = [name if stride == 1 else f"{name} * {stride}" for name, stride, count in terms if count > 1]
    return " + ".join([*parts, *([str(plus)] if plus else [])]) or "0"


def loop(variable: str, count: int | str, start: int | str = 0) -> str:
    """The head of a counting loop."""
    return f"for (int32_t {variable} = {start}; {variable} < {count}; ++{variable})"


def each(count: int, statement: str, lanes: int = 4) -> Iterable[str]:
    """The statement for `i` from 0 to `count`, in loops that compilers turn into vector instructions.

    At -O2 gcc does that only where nothing is left over.
    """
    whole = count // lanes * lanes
    if whole:
        yield loop("i", whole)
        yield f"    {statement}"
    if count - whole:
        yield loop("i", count, whole)
        yield f"    {statement}"
