"""The few operations that a network becomes before it becomes C."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal, Self, TypeAlias

from torch import Tensor

from tighten.export.c99.weights import Weights

Shape: TypeAlias = tuple[int, int, int]
Sides: TypeAlias = tuple[int, int, int, int]
"""Above, below, left, right."""


@dataclass(eq=False)
class Buffer:
    """A stretch of floats that one operation writes and later ones read.

    Args:
        shape: channels, height, width; features are channels of one by one pixel.
        place: the caller's input or output, or the arena.
        halo: zeros that are stored around each channel, for convolutions with padding that read it.
    """

    shape: Shape
    place: Literal["input", "output", "arena"] = "arena"
    halo: Sides = (0, 0, 0, 0)

    @property
    def pitch(self) -> int:
        """Floats from one row to the next."""
        return self.shape[2] + self.halo[2] + self.halo[3]

    @property
    def plane(self) -> int:
        """Floats from one channel to the next."""
        return (self.shape[1] + self.halo[0] + self.halo[1]) * self.pitch

    @property
    def floats(self) -> int:
        """All of them."""
        return self.shape[0] * self.plane


@dataclass(frozen=True, eq=False)
class View:
    """What an operation reads: a buffer, part of it, or all of it under another shape.

    Args:
        buffer: where the floats are.
        shape: channels, height, width.
        origin: channel, row and column of the buffer at which it starts.
        step: channels, rows and columns of the buffer from one entry to the next.
        is_flat: whether it is the whole buffer without a halo, in this shape, row by row.
    """

    buffer: Buffer
    shape: Shape
    origin: Shape = (0, 0, 0)
    step: Shape = (1, 1, 1)
    is_flat: bool = False

    @classmethod
    def of(cls, buffer: Buffer) -> Self:
        """The whole buffer."""
        return cls(buffer, buffer.shape)

    @property
    def is_whole(self) -> bool:
        """Whether it is the buffer as it is."""
        return not self.is_flat and (self.shape, self.origin, self.step) == (self.buffer.shape, (0, 0, 0), (1, 1, 1))

    @property
    def strides(self) -> Shape:
        """Floats from one channel, row and column to the next."""
        if self.is_flat:
            return self.shape[1] * self.shape[2], self.shape[2], 1
        channel, row, column = self.step
        return channel * self.buffer.plane, row * self.buffer.pitch, column

    @property
    def offset(self) -> int:
        """Floats from the start of the buffer to the first entry."""
        if self.is_flat:
            return 0
        above, _, left, _ = self.buffer.halo
        channel, row, column = self.origin
        return channel * self.buffer.plane + (above + row) * self.buffer.pitch + left + column

    def part(self, origin: Shape, step: Shape, shape: Shape) -> View:
        """A regular part of a view that is not flat."""
        start = tuple(o + s * p for o, s, p in zip(self.origin, self.step, origin, strict=True))
        steps = tuple(s * p for s, p in zip(self.step, step, strict=True))
        return replace(self, shape=shape, origin=(start[0], start[1], start[2]), step=(steps[0], steps[1], steps[2]))


@dataclass(frozen=True, eq=False)
class Affine:
    """Each channel times a factor, plus a shift: batch norm where no layer can take it."""

    factor: Tensor
    shift: Tensor


@dataclass(frozen=True, eq=False)
class Add:
    """The sum with another tensor of the same shape."""

    other: View


@dataclass(frozen=True)
class Clip:
    """Nothing below zero and, where `most` is given, nothing above it."""

    most: float | None = None


@dataclass(frozen=True)
class Pool:
    """The largest or the mean of each window.

    Args:
        kind: which.
        window: rows, columns.
        stride: likewise.
        sides: padding above, below, left, right.
        counts_padding: whether the mean is over the padding too.
    """

    kind: Literal["max", "mean"]
    window: tuple[int, int]
    stride: tuple[int, int]
    sides: Sides = (0, 0, 0, 0)
    counts_padding: bool = True


Stage: TypeAlias = Affine | Add | Clip | Pool


@dataclass(eq=False)
class Step:
    """What all operations have in common: each reads a view, changes what it computed in stages, and writes a buffer.

    Args:
        name: the place in the model.
        source: what it reads.
        out: what it writes.
        stages: what follows, entry by entry; at most one of them pools.
    """

    name: str
    source: View
    out: Buffer
    stages: list[Stage] = field(default_factory=list, kw_only=True)

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns before the stages."""
        return self.source.shape[1], self.source.shape[2]

    @property
    def reads(self) -> list[View]:
        """All that it reads."""
        return [self.source, *(stage.other for stage in self.stages if isinstance(stage, Add))]

    @property
    def pool(self) -> Pool | None:
        """The stage that pools."""
        return next((stage for stage in self.stages if isinstance(stage, Pool)), None)


@dataclass(eq=False)
class Each(Step):
    """Nothing but stages; without any, a copy."""


@dataclass(eq=False)
class Place(Step):
    """A copy into a larger tensor of zeros.

    Args:
        origin: channel, row and column of its first entry there.
    """

    origin: Shape = (0, 0, 0)


@dataclass(eq=False)
class Linear(Step):
    """A matrix times all entries of the source."""

    weights: Weights


@dataclass(eq=False)
class Conv(Step):
    """A convolution.

    Args:
        weights: one column for each channel of a group, row and column of the kernel.
        kernel: rows, columns; the next two likewise.
        stride: step from one output to the next.
        dilation: step from one weight to the next.
        sides: padding above, below, left, right.
        groups: into how many the channels are divided.
    """

    weights: Weights
    kernel: tuple[int, int]
    stride: tuple[int, int]
    dilation: tuple[int, int]
    sides: Sides
    groups: int

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns before the stages."""
        above, below, left, right = self.sides
        room = self.source.shape[1] + above + below, self.source.shape[2] + left + right
        rows, columns = (
            (room[axis] - self.dilation[axis] * (self.kernel[axis] - 1) - 1) // self.stride[axis] + 1 for axis in (0, 1)
        )
        return rows, columns


Operation: TypeAlias = Conv | Linear | Each | Place
