"""Tensors of plain numbers, bit for bit.

The bytes are taken apart into planes: all first bytes, all second bytes, and so on. The planes of a
float differ: that of the exponents is nearly always worth coding, those of the mantissa hardly ever.
"""

from __future__ import annotations

import math
import zlib
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tighten.codecs.adaptive import adaptive, as_symbols
from tighten.codecs.coder import Coder, Trying
from tighten.errors import ArtifactError

# The place in this list is the number in the file: append only.
DTYPES: tuple[torch.dtype, ...] = (
    torch.float32,
    torch.float16,
    torch.bfloat16,
    torch.float64,
    torch.bool,
    torch.uint8,
    torch.int8,
    torch.int16,
    torch.int32,
    torch.int64,
    torch.complex64,
    torch.complex128,
    torch.float8_e4m3fn,
    torch.float8_e5m2,
)
_MOST_DTYPES = 254
_WORDS: dict[int, np.dtype[Any]] = {2: np.dtype("<u2"), 4: np.dtype("<u4"), 8: np.dtype("<u8")}
_RAW, _ADAPTIVE, _DEFLATED = range(3)
_RARE = 1 / 16
"""Prior weight of a byte value: most planes that are worth coding use few of the 256."""
_WORTH_DEFLATING = 64


def dtype(coder: Coder, value: torch.dtype | None) -> torch.dtype:
    """The type of a tensor's entries."""
    if value is not None and value not in DTYPES:
        raise ArtifactError(f"tensors of type {value} cannot be stored: convert it to one of {DTYPES}")
    place = coder.number(None if value is None else DTYPES.index(value), "dtype", _MOST_DTYPES)
    if place >= len(DTYPES):
        raise ArtifactError(f"tensors of type number {place} are unknown")
    return DTYPES[place]


def scalars(coder: Coder, tensor: Tensor | None, of: torch.dtype, shape: tuple[int, ...]) -> Tensor:
    """A tensor of this type and shape."""
    count, width = math.prod(shape), of.itemsize
    planes = None if tensor is None else _apart(tensor)
    got = np.empty((width, count), dtype=np.uint8)
    for place in range(width):
        got[place] = _plane(coder, None if planes is None else planes[place], count, f"{of} {place}")
    return _together(got, of, shape)


def _apart(tensor: Tensor) -> NDArray[np.uint8]:
    """`[bytes of an entry, entries]`, lowest byte first."""
    flat = tensor.detach().cpu().contiguous().reshape(-1)
    matrix = flat.view(torch.uint8).numpy().reshape(flat.numel(), tensor.dtype.itemsize)
    if _rotated(tensor.dtype):
        word = _WORDS[tensor.dtype.itemsize]
        words = np.ascontiguousarray(matrix).view(word)
        matrix = ((words << word.type(1)) | (words >> word.type(8 * word.itemsize - 1))).astype(word).view(np.uint8)
    return np.ascontiguousarray(matrix.T)


def _together(planes: NDArray[np.uint8], of: torch.dtype, shape: tuple[int, ...]) -> Tensor:
    matrix = np.ascontiguousarray(planes.T)
    if _rotated(of):
        word = _WORDS[of.itemsize]
        words = matrix.view(word)
        matrix = ((words >> word.type(1)) | (words << word.type(8 * word.itemsize - 1))).astype(word).view(np.uint8)
    return torch.from_numpy(matrix.reshape(-1)).view(of).reshape(shape)


def _rotated(of: torch.dtype) -> bool:
    """Whether the sign goes to the lowest bit, so that the exponent fills the highest byte."""
    return of.is_floating_point and of.itemsize > 1


def _plane(coder: Coder, plane: NDArray[np.uint8] | None, count: int, name: str) -> NDArray[np.uint8]:
    if count == 0:
        return np.empty(0, dtype=np.uint8)
    way = coder.number(None if plane is None else _best_way(coder, plane, name), ("plane", name), _DEFLATED)
    return _coded(coder, plane, count, name, way)


def _best_way(coder: Coder, plane: NDArray[np.uint8], name: str) -> int:
    assert isinstance(coder, Trying)
    costs = {}
    for way in (_RAW, _ADAPTIVE, _DEFLATED)[: 3 if len(plane) >= _WORTH_DEFLATING else 2]:
        trial = coder.trial()
        _coded(trial, plane, len(plane), name, way)
        costs[way] = trial.cost()
    return min(costs, key=costs.__getitem__)


def _coded(coder: Coder, plane: NDArray[np.uint8] | None, count: int, name: str, way: int) -> NDArray[np.uint8]:
    if way == _ADAPTIVE:
        # What one tensor taught about this plane serves the next tensor of the same type.
        seen: NDArray[Any] = coder.memory.get(("plane", name), np.full(256, _RARE)).copy()
        symbols = adaptive(coder, None if plane is None else as_symbols(plane), count, seen)
        coder.memory["plane", name] = seen
        return symbols.astype(np.uint8, copy=False)
    data = None if plane is None else plane.tobytes()
    if way == _RAW:
        return np.frombuffer(coder.raw(data, count), dtype=np.uint8)
    packed = None if data is None else _deflate(data)
    size = coder.number(None if packed is None else len(packed), "deflated")
    packed = coder.raw(packed, size)
    return np.frombuffer(_inflate(packed, count) if data is None else data, dtype=np.uint8)


def _deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return packer.compress(data) + packer.flush()


def _inflate(packed: bytes, size: int) -> bytes:
    unpacker = zlib.decompressobj(-15)
    data = unpacker.decompress(packed, size)
    # A stream may end in an empty block that is only read when more room is asked for.
    if len(data) != size or unpacker.decompress(unpacker.unconsumed_tail, 1) or not unpacker.eof:
        raise ArtifactError(f"a deflated plane does not hold {size} bytes")
    return data
