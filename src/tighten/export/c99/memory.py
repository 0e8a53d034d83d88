"""Where every buffer lies: zeros around it, copies where that cannot be, and its place in the arena."""

from __future__ import annotations

from collections.abc import Sequence

from tighten.export.c99.operations import Buffer, Conv, Each, Linear, Operation, Sides, View

ALIGNMENT = 8
"""Floats to which buffers are aligned, so that vector instructions meet whole cache lines more often."""


def give_halos(operations: list[Operation]) -> None:
    """Stores zeros around what convolutions with padding read, so that they need no case for the border.

    What cannot have them (the caller's input, parts of a buffer, what is read flat too) is copied first.
    """
    for operation in list(operations):
        if not isinstance(operation, Conv) or not any(operation.sides):
            continue
        buffer = operation.source.buffer
        flat = any(isinstance(other, Linear) and other.out is buffer for other in operations) or any(
            (view.is_flat or isinstance(other, Linear)) and view.buffer is buffer
            for other in operations
            for view in other.reads
        )
        if flat or buffer.place != "arena" or not operation.source.is_whole:
            copy = Each(f"{operation.name}.input", operation.source, Buffer(operation.source.shape))
            operations.insert(operations.index(operation), copy)
            operation.source = View.of(copy.out)
            buffer = copy.out
        buffer.halo = _larger(buffer.halo, operation.sides)


def _larger(one: Sides, other: Sides) -> Sides:
    above, below, left, right = (max(a, b) for a, b in zip(one, other, strict=True))
    return above, below, left, right


def arena(operations: Sequence[Operation], scratch: Sequence[int]) -> tuple[dict[Buffer, int], list[int], int]:
    """Offsets of the buffers and of each operation's scratch in one stretch of floats, and its length.

    Definition: the largest first, each at the lowest offset where it meets none that is needed at the same time.

    Args:
        operations: in order; an operation's buffer is needed until the last one that reads it.
        scratch: floats that each operation needs for itself.
    """
    wanted: list[tuple[int, int, int, Buffer | int]] = []
    for number, operation in enumerate(operations):
        if operation.out.place == "arena":
            last = max(
                [number, *(n for n, o in enumerate(operations) for view in o.reads if view.buffer is operation.out)]
            )
            wanted.append((operation.out.floats, number, last, operation.out))
        if scratch[number]:
            wanted.append((scratch[number], number, number, number))
    wanted.sort(key=lambda item: (-item[0], item[1]))
    placed: list[tuple[int, int, int, int]] = []
    offsets: dict[Buffer | int, int] = {}
    for size, first, last, what in wanted:
        offset = 0
        for start, end, _, _ in sorted(p for p in placed if p[2] <= last and first <= p[3]):
            if offset + size <= start:
                break
            offset = max(offset, -(-end // ALIGNMENT) * ALIGNMENT)
        placed.append((offset, offset + size, first, last))
        offsets[what] = offset
    buffers = {what: offset for what, offset in offsets.items() if isinstance(what, Buffer)}
    own = [offsets.get(number, 0) for number in range(len(operations))]
    return buffers, own, max((end for _, end, _, _ in placed), default=0)
