"""Channels that are always zero, left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from torch import Tensor

from tighten.export.c99.operations import Add, Affine, Buffer, Conv, Linear, Operation, View


def drop_zero_channels(operations: Sequence[Operation]) -> None:
    """Takes out the channels and features that a layer never makes anything but zero of; nothing changes but sizes.

    That is done where only layers without groups read them: what they add to a sum is zero.
    """
    for operation in operations:
        if isinstance(operation, Conv | Linear) and _may_lose_channels(operation, operations):
            weights = operation.weights
            alive = (weights.base != 0).any(1) & (weights.scale != 0) | (weights.bias != 0)
            if not bool(alive.any()):
                alive[0] = True
            if not bool(alive.all()):
                operation.weights = weights.rows(alive)
                _narrow(operation.out, alive, operations)


def _may_lose_channels(operation: Operation, operations: Sequence[Operation]) -> bool:
    if isinstance(operation, Conv) and operation.groups > 1:
        return False
    if operation.out.place == "output" or any(isinstance(stage, Add | Affine) for stage in operation.stages):
        return False
    for reader in operations:
        if any(isinstance(stage, Add) and stage.other.buffer is operation.out for stage in reader.stages):
            return False
        if reader.source.buffer is operation.out and not _skips_zeros(reader):
            return False
    return True


def _skips_zeros(reader: Operation) -> bool:
    if not reader.source.is_whole and not reader.source.is_flat:
        return False
    return isinstance(reader, Linear) or (isinstance(reader, Conv) and reader.groups == 1 and reader.source.is_whole)


def _narrow(buffer: Buffer, alive: Tensor, operations: Sequence[Operation]) -> None:
    pixels = buffer.shape[1] * buffer.shape[2]
    buffer.shape = (int(alive.sum()), *buffer.shape[1:])
    for reader in operations:
        if reader.source.buffer is buffer:
            assert isinstance(reader, Conv | Linear)
            each = pixels if isinstance(reader, Linear) else reader.kernel[0] * reader.kernel[1]
            reader.weights = reader.weights.columns(alive.repeat_interleave(each))
            reader.source = _narrowed(reader.source, buffer)


def _narrowed(view: View, buffer: Buffer) -> View:
    if not view.is_flat:
        return View.of(buffer)
    return replace(view, shape=(buffer.floats, 1, 1))
