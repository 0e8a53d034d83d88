"""Whole codes: shape, form, support and values."""

from __future__ import annotations

import math
from typing import assert_never

import numpy as np
import torch
from torch import Tensor

from tighten.codecs.coder import Coder
from tighten.codecs.format1.positions import positions
from tighten.codecs.format1.values import check_indexed, dense, indexed, value_dtype
from tighten.codecs.scalars import dtype, scalars
from tighten.codes import Code, Dense, Indexed, Sparse, expand
from tighten.errors import ArtifactError

_MOST_AXES = 64
_MOST_ENTRIES = 2**40
_LEAST_ENTRY_BYTES = 1


def tensor(coder: Coder, value: Tensor | None) -> Tensor:
    """An unconstrained tensor of the state dict."""
    of = dtype(coder, None if value is None else value.dtype)
    shape = _shape(coder, None if value is None else tuple(value.shape), of.itemsize)
    coder.mark("header")
    got = scalars(coder, value, of, shape)
    coder.mark("rest")
    return got


def code(coder: Coder, value: Code | None, site: str) -> Code:
    """A code of any form."""
    is_sparse = coder.bit(None if value is None else isinstance(value, Sparse), "sparse")
    inner = value.inner if isinstance(value, Sparse) else value
    is_indexed = coder.bit(None if inner is None else isinstance(inner, Indexed), "indexed")
    of = value_dtype(coder, inner)
    if not is_sparse:
        assert not isinstance(value, Sparse)
        shape = _shape(coder, None if value is None else value.shape, of.itemsize)
        coder.mark("header")
        return _values(coder, value, is_indexed, shape, of, None, site)
    assert value is None or isinstance(value, Sparse)
    grid_shape = _shape(coder, None if value is None else tuple(value.grid.shape), _LEAST_ENTRY_BYTES)
    unit = _unit(coder, None if value is None else value.unit, len(grid_shape))
    coder.claim(_entries(tuple(g * u for g, u in zip(grid_shape, unit, strict=True))) * of.itemsize)
    coder.mark("header")
    given = None if value is None else value.grid.detach().cpu().numpy().astype(np.bool_)
    grid = torch.from_numpy(positions(coder, given, grid_shape))
    coder.mark("positions", site)
    support = expand(grid, unit).reshape(-1)
    kept = int(support.sum())
    return Sparse(grid, unit, _values(coder, inner, is_indexed, (kept,), of, support, site))


def check(value: Code) -> None:
    """Refuses a code that the format has no words for.

    Raises:
        ArtifactError: the message says what and why; the caller adds the site.
    """
    match value:
        case Dense():
            return
        case Indexed():
            check_indexed(value, None)
        case Sparse():
            if len(value.unit) != value.grid.dim() or any(size < 1 for size in value.unit):
                raise ArtifactError(f"has units of shape {value.unit} on a grid of {value.grid.dim()} axes")
            if value.inner.shape != (value.kept,):
                raise ArtifactError(f"keeps {value.kept} entries but holds values of shape {value.inner.shape}")
            if isinstance(value.inner, Indexed):
                check_indexed(value.inner, value.support.cpu().reshape(-1))
        case _:
            assert_never(value)


def _values(
    coder: Coder,
    value: Dense | Indexed | None,
    is_indexed: bool,
    shape: tuple[int, ...],
    of: torch.dtype,
    support: Tensor | None,
    site: str,
) -> Dense | Indexed:
    if is_indexed:
        assert value is None or isinstance(value, Indexed)
        return indexed(coder, value, shape, of, support, site)
    assert value is None or isinstance(value, Dense)
    return dense(coder, value, shape, of, site)


def _shape(coder: Coder, shape: tuple[int, ...] | None, entry_bytes: int) -> tuple[int, ...]:
    """A shape; room for its entries is claimed before anything of it is allocated."""
    axes = coder.number(None if shape is None else len(shape), "axes", _MOST_AXES)
    got = tuple(coder.number(None if shape is None else shape[i], "size", _MOST_ENTRIES) for i in range(axes))
    coder.claim(_entries(got) * entry_bytes)
    return got


def _unit(coder: Coder, unit: tuple[int, ...] | None, axes: int) -> tuple[int, ...]:
    if not coder.bit(None if unit is None else any(size > 1 for size in unit), "blocks"):
        return (1,) * axes
    return tuple(1 + coder.number(None if unit is None else unit[i] - 1, "unit", _MOST_ENTRIES) for i in range(axes))


def _entries(shape: tuple[int, ...]) -> int:
    # An axis of no entries does not excuse the others: frameworks multiply them one by one.
    entries = math.prod(max(size, 1) for size in shape)
    if entries > _MOST_ENTRIES:
        raise ArtifactError(f"a tensor of shape {shape} has {entries} entries, at most {_MOST_ENTRIES} are possible")
    return math.prod(shape)
