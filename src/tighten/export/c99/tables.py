"""Numbers as read-only arrays of C."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

_WIDEST = 8
"""Bits of an index that pays; the decoder reads two bytes at a time, which is enough for nine."""


@dataclass(frozen=True, eq=False)
class Packed:
    """A list of numbers: plain, or as indices of a few bits into a table.

    Args:
        numbers: float32, or the levels where there is an index.
        index: uint8, or None.
        bits: of each index.
    """

    numbers: Tensor
    index: Tensor | None = None
    bits: int = 0

    @classmethod
    def of(cls, numbers: Tensor) -> Packed:
        """The shorter way to write them."""
        levels, index = numbers.unique(return_inverse=True)
        bits = max(1, (len(levels) - 1).bit_length())
        packed = cls(levels, index.to(torch.uint8), bits)
        plain = cls(numbers)
        return packed if bits <= _WIDEST and packed.bytes < plain.bytes else plain

    @property
    def bytes(self) -> int:
        """Bytes of the arrays."""
        own = 4 * len(self.numbers)
        # One more byte, because the decoder reads two at a time.
        return own if self.index is None else own + (len(self.index) * self.bits + 7) // 8 + 1

    def packed_index(self) -> list[int]:
        """The indices, lowest bits first."""
        assert self.index is not None
        places = torch.arange(self.bits)
        stream = (self.index[:, None].long() >> places & 1).reshape(-1)
        return [*as_bytes(stream), 0]


def as_bytes(stream: Tensor) -> list[int]:
    """Bits (0 or 1) as bytes, lowest first."""
    padded = torch.nn.functional.pad(stream.long(), (0, -len(stream) % 8)).reshape(-1, 8)
    found: list[int] = (padded << torch.arange(8)).sum(1).tolist()
    return found


def gaps(kept: Tensor) -> list[int]:
    """Distances from one kept entry to the next, and from the last to the end, a byte each; 255 goes on in the next."""
    places = kept.reshape(-1).nonzero().flatten().tolist()
    found: list[int] = []
    before = 0
    for place in [*places, kept.numel()]:
        whole, rest = divmod(place - before, 255)
        found += [255] * whole + [rest]
        before = place
    return found


@dataclass(eq=False)
class Tables:
    """The arrays of a program; equal ones are written once."""

    bytes: int = 0
    _names: dict[str, str] = field(default_factory=dict)
    _taken: set[str] = field(default_factory=set)

    def floats(self, name: str, numbers: Tensor) -> str:
        """An array of floats; gives its name."""
        return self._add("float", name, [number(x) for x in numbers.float().tolist()], 4)

    def bytes_(self, name: str, numbers: Sequence[int]) -> str:
        """An array of bytes; gives its name."""
        return self._add("uint8_t", name, [str(x) for x in numbers], 1)

    def text(self) -> str:
        """The definitions."""
        return "\n".join(f"static const {body.replace('@', name, 1)}" for body, name in self._names.items())

    def _add(self, kind: str, name: str, numbers: list[str], size: int) -> str:
        numbers = numbers or ["0"]  # C has no empty arrays
        body = f"{kind} @[{len(numbers)}] = {{\n{_lines(numbers)}\n}};"
        if body not in self._names:
            while name in self._taken:
                name += "_"
            self._taken.add(name)
            self._names[body] = name
            self.bytes += len(numbers) * size
        return self._names[body]


def number(x: float) -> str:
    """A float32 as C reads it back, bit for bit."""
    text = f"{x:.9g}"
    return f"{text}f" if any(c in text for c in ".e") else f"{text}.0f"


def _lines(numbers: Sequence[str], width: int = 116) -> str:
    lines, line = [], "   "
    for text in numbers:
        if len(line) + len(text) + 2 > width:
            lines.append(line)
            line = "   "
        line += f" {text},"
    return "\n".join([*lines, line])
