"""Whole codes: shape, form, support and values."""

from __future__ import annotations

import math
from typing import Any, assert_never

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tighten.codecs.coder import Coder, Trying
from tighten.codecs.layout import FEW_CELLS, MOST_CELLS
from tighten.codecs.positions import Levels, entries, positions
from tighten.codecs.scalars import dtype, scalars
from tighten.codecs.values import Table, check_indexed, indices, run_lengths, table, value_dtype
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
    if is_sparse:
        assert value is None or isinstance(value, Sparse)
        return _sparse(coder, value, is_indexed, of, site)
    assert not isinstance(value, Sparse)
    shape = _shape(coder, None if value is None else value.shape, of.itemsize)
    coder.mark("header")
    if not is_indexed:
        return Dense(_plain(coder, value, shape, of, site))
    assert value is None or isinstance(value, Indexed)
    levels, count = table(coder, value, of, site), math.prod(shape)
    counts = run_lengths(len(levels.scale), count, None)
    if _each(coder, value, levels, count):
        given = None if value is None else levels.places(_numpy(value.index)).reshape(shape)
        index = levels.index(entries(coder, given, shape, levels.of(sparse=False)))
    else:
        index = indices(coder, None if value is None else value.index, count, len(levels.levels))
    coder.mark("values", site)
    return Indexed(index.reshape(shape), levels.levels, levels.scale, counts)


def _sparse(coder: Coder, value: Sparse | None, is_indexed: bool, of: torch.dtype, site: str) -> Sparse:
    inner = None if value is None else value.inner
    shape = _shape(coder, None if value is None else tuple(value.grid.shape), _LEAST_ENTRY_BYTES)
    unit = _unit(coder, None if value is None else value.unit, len(shape))
    coder.claim(_entries(tuple(g * u for g, u in zip(shape, unit, strict=True))) * of.itemsize)
    coder.mark("header")
    given = None if value is None else value.grid.detach().cpu().numpy().astype(np.bool_)
    levels = None
    if is_indexed:
        assert inner is None or isinstance(inner, Indexed)
        levels = table(coder, inner, of, site)
        fine = not levels.has_zero and math.prod(unit) == 1
        if fine and _each(coder, value, levels, math.prod(shape)):
            return _levelled(coder, value, shape, levels, site)
    grid = torch.from_numpy(positions(coder, given, shape))
    coder.mark("positions", site)
    support = expand(grid, unit).reshape(-1)
    kept = int(np.count_nonzero(support.numpy()))
    if levels is None:
        assert inner is None or isinstance(inner, Dense)
        return Sparse(grid, unit, Dense(_plain(coder, inner, (kept,), of, site)))
    assert inner is None or isinstance(inner, Indexed)
    counts = run_lengths(len(levels.scale), kept, support)
    index = indices(coder, None if inner is None else inner.index, kept, len(levels.levels))
    coder.mark("values", site)
    return Sparse(grid, unit, Indexed(index, levels.levels, levels.scale, counts))


def _each(coder: Coder, value: Code | None, levels: Table, count: int) -> bool:
    """Whether each entry is predicted on its own: the writer's choice, where it can be."""
    if not levels.signed or not 0 < count <= FEW_CELLS:
        return False
    return coder.bit(None if value is None else count <= MOST_CELLS, "each")


def _levelled(coder: Coder, value: Sparse | None, shape: tuple[int, ...], levels: Table, site: str) -> Sparse:
    """Positions and levels at once."""
    given = None
    if value is not None:
        assert isinstance(value.inner, Indexed)
        flat = np.zeros(math.prod(shape), dtype=np.int32)
        flat[_numpy(value.grid)] = levels.places(_numpy(value.inner.index))
        given = flat.reshape(shape)
        assert isinstance(coder, Trying)
        alone = coder.trial()
        entries(alone, (given != 0).astype(np.int32), shape, Levels(True, 0, 1))
        before = coder.cost()
    got = entries(coder, given, shape, levels.of(sparse=True))
    if value is not None:
        assert isinstance(coder, Trying)
        # Where positions would end if they stood alone: the rest is what the levels add.
        coder.mark_at("positions", site, min(before + alone.cost(), coder.cost()))
    coder.mark("values", site)
    support = torch.from_numpy(got.reshape(-1) != 0)
    index = levels.index(got.reshape(-1)[got.reshape(-1) != 0])
    counts = run_lengths(len(levels.scale), len(index), support)
    return Sparse(support.reshape(shape), (1,) * len(shape), Indexed(index, levels.levels, levels.scale, counts))


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


def _plain(coder: Coder, value: Dense | Indexed | None, shape: tuple[int, ...], of: torch.dtype, site: str) -> Tensor:
    assert value is None or isinstance(value, Dense)
    got = scalars(coder, None if value is None else value.values, of, shape)
    coder.mark("values", site)
    return got


def _numpy(tensor: Tensor) -> NDArray[Any]:
    flat: NDArray[Any] = tensor.detach().cpu().reshape(-1).numpy()
    return flat


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
    count = math.prod(max(size, 1) for size in shape)
    if count > _MOST_ENTRIES:
        raise ArtifactError(f"a tensor of shape {shape} has {count} entries, at most {_MOST_ENTRIES} are possible")
    return math.prod(shape)
