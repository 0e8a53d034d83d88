"""PyTorch's settings in the few forms that the C code has; what has no such form is refused with the reason."""

from __future__ import annotations

from typing import Any

from torch import nn

from tighten.export.c99.operations import Pool, Shape, Sides


class Unsupported(Exception):
    """An operation, or a setting of one, that cannot be written."""


def pair(value: Any) -> tuple[int, int]:
    """One number for each axis."""
    if isinstance(value, int):
        return value, value
    first, second = (value[0], value[-1])
    return int(first), int(second)


def sides_of(module: nn.Conv2d) -> Sides:
    """The padding of a convolution."""
    if module.padding_mode != "zeros":
        raise Unsupported(f"padding_mode='{module.padding_mode}'")
    if module.padding == "valid":
        return 0, 0, 0, 0
    if module.padding == "same":
        down, right = (d * (k - 1) for d, k in zip(module.dilation, module.kernel_size, strict=True))
        return down // 2, down - down // 2, right // 2, right - right // 2
    rows, columns = pair(module.padding)
    return rows, rows, columns, columns


def max_pool(kernel_size: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: bool, indices: bool) -> Pool:
    """`F.max_pool2d`."""
    if pair(dilation) != (1, 1):
        raise Unsupported(f"dilation={dilation}")
    if indices:
        raise Unsupported("return_indices=True")
    if ceil_mode:
        raise Unsupported("ceil_mode=True")
    rows, columns = pair(padding)
    return Pool("max", pair(kernel_size), pair(stride or kernel_size), (rows, rows, columns, columns))


def mean_pool(kernel_size: Any, stride: Any, padding: Any, ceil_mode: bool, counts: bool, divisor: Any) -> Pool:
    """`F.avg_pool2d`."""
    if ceil_mode:
        raise Unsupported("ceil_mode=True")
    if divisor is not None:
        raise Unsupported(f"divisor_override={divisor}")
    rows, columns = pair(padding)
    return Pool("mean", pair(kernel_size), pair(stride or kernel_size), (rows, rows, columns, columns), counts)


def adaptive_pool(kind: Any, output_size: Any, shape: Shape) -> Pool:
    """`F.adaptive_avg_pool2d` and `F.adaptive_max_pool2d` where all windows are equal."""
    given = output_size if isinstance(output_size, tuple | list) else (output_size, output_size)
    wanted = tuple(own if size is None else size for size, own in zip(given, shape[1:], strict=True))
    if shape[1] % wanted[0] or shape[2] % wanted[1]:
        raise Unsupported(f"{wanted[0]} by {wanted[1]} outputs of {shape[1]} by {shape[2]} pixels: windows differ")
    window = (shape[1] // wanted[0], shape[2] // wanted[1])
    return Pool(kind, window, window)


def part_of(index: Any, shape: Shape) -> tuple[Shape, Shape, Shape]:
    """Origin, step and shape of `x[index]`, where x has a batch axis before `shape`."""
    parts = index if isinstance(index, tuple) else (index,)
    if Ellipsis in parts:
        at = parts.index(Ellipsis)
        parts = (*parts[:at], *[slice(None)] * (5 - len(parts)), *parts[at + 1 :])
    parts = (*parts, *[slice(None)] * (4 - len(parts)))
    if len(parts) != 4 or not all(isinstance(p, slice) for p in parts) or parts[0] != slice(None):
        raise Unsupported(f"the index [{index}]")
    ranges = [range(*p.indices(size)) for p, size in zip(parts[1:], shape, strict=True)]
    (a, b, c), (d, e, f), (g, h, i) = ([r.start for r in ranges], [r.step for r in ranges], [len(r) for r in ranges])
    if min(g, h, i) < 1:
        raise Unsupported(f"the index [{index}], which leaves nothing")
    return (a, b, c), (d, e, f), (g, h, i)


def room_of(pad: Any, mode: str, value: Any) -> tuple[Shape, Shape]:
    """What `F.pad` adds before and after, on each axis but the batch."""
    if mode != "constant" or value not in (None, 0):
        raise Unsupported(f"padding of mode '{mode}' with {value}")
    sizes = [*map(int, pad), *[0] * (8 - len(pad))]
    if min(sizes) < 0 or sizes[6] or sizes[7]:
        raise Unsupported(f"padding by {tuple(pad)}")
    return (sizes[4], sizes[2], sizes[0]), (sizes[5], sizes[3], sizes[1])
