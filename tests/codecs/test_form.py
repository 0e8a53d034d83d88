"""Whole codes of every form."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeAlias

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tighten.codecs import form
from tighten.codecs.scalars import dtype
from tighten.codecs.stream import Reader, Writer
from tighten.codes import Code, Dense, Indexed, Sparse, expand
from tighten.errors import ArtifactError

BothWays: TypeAlias = Callable[..., tuple[Any, int]]
FLOATS = st.sampled_from([torch.float32, torch.float16, torch.bfloat16, torch.float64])


@st.composite
def indexed(draw: st.DrawFn, shape: tuple[int, ...], rows: torch.Tensor | None) -> Indexed:
    """An Indexed of this shape; `rows` are the entries of each row, where these differ."""
    of = draw(FLOATS)
    levels = draw(st.integers(1, 9))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 1000)))
    count = math.prod(shape)
    counts = torch.tensor([count])
    if rows is not None and draw(st.booleans()):
        counts = rows
    index = torch.randint(0, levels, shape, generator=generator)
    steps = draw(st.sampled_from([torch.arange(levels) - 4.0, 2.0 ** torch.arange(levels), torch.randn(levels)]))
    return Indexed(index, steps.to(of), torch.rand(len(counts), generator=generator).to(of), counts)


@st.composite
def codes(draw: st.DrawFn) -> Code:
    shape = tuple(draw(st.lists(st.integers(0, 5), max_size=4)))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 1000)))
    rows = torch.full((shape[0],), math.prod(shape[1:])) if shape and math.prod(shape) else None
    match draw(st.integers(0, 3)):
        case 0:
            return Dense(torch.randn(shape, generator=generator).to(draw(FLOATS)))
        case 1:
            return draw(indexed(shape, rows))
        case form_of_inner:
            grid = torch.rand(shape, generator=generator) < draw(st.sampled_from([0.0, 0.2, 0.7, 1.0]))
            unit = tuple(draw(st.integers(1, 3)) for _ in shape)
            support = expand(grid, unit)
            kept = int(support.sum())
            if form_of_inner == 2:
                return Sparse(grid, unit, Dense(torch.randn(kept, generator=generator).to(draw(FLOATS))))
            rows = support.reshape(len(support), -1).sum(dim=1) if support.dim() and support.numel() else None
            return Sparse(grid, unit, draw(indexed((kept,), rows)))


def bits(code: Code) -> list[object]:
    dense = code.dense()
    return [dense.dtype, tuple(dense.shape), dense.contiguous().reshape(-1).view(torch.uint8).tolist()]


@settings(deadline=None, max_examples=300)
@given(code=codes())
def test_every_form_comes_back(both_ways: BothWays, code: Code) -> None:
    form.check(code)
    back, _ = both_ways(lambda coder, value: form.code(coder, value, "w"), code)
    assert type(back) is type(code)
    assert bits(back) == bits(code)
    match back, code:
        case (Sparse(), Sparse()):
            assert torch.equal(back.grid, code.grid)
            assert back.unit == code.unit
            assert bits(back.inner) == bits(code.inner)
        case (Indexed(), Indexed()):
            assert torch.equal(back.index.long(), code.index)
            assert torch.equal(back.counts, code.counts)


@pytest.mark.parametrize(
    "value", [torch.tensor(7), torch.tensor(True), torch.empty(3, 0), torch.tensor(1.5, dtype=torch.bfloat16)]
)
def test_unconstrained_tensors_come_back(both_ways: BothWays, value: torch.Tensor) -> None:
    back, _ = both_ways(form.tensor, value)
    assert back.dtype == value.dtype
    assert torch.equal(back, value)


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (Sparse(torch.ones(3, dtype=torch.bool), (1,), Dense(torch.ones(2))), r"keeps 3 entries but holds .* \(2,\)"),
        (Sparse(torch.ones(3, dtype=torch.bool), (1, 1), Dense(torch.ones(3))), r"units of shape \(1, 1\)"),
        (Sparse(torch.ones(3, dtype=torch.bool), (0,), Dense(torch.ones(0))), r"units of shape \(0,\)"),
    ],
)
def test_a_sparse_code_that_contradicts_itself_is_refused(code: Sparse, message: str) -> None:
    with pytest.raises(ArtifactError, match=message):
        form.check(code)


def test_a_shape_is_refused_before_anything_is_allocated() -> None:
    writer = Writer()
    dtype(writer, torch.float32)
    writer.number(2, "axes", 64)
    for _ in range(2):
        writer.number(2**30, "size")
    with pytest.raises(ArtifactError, match="at most 1099511627776 are possible"):
        form.tensor(Reader(*writer.finish(), allowance=2**62), None)


def test_a_unit_counts_in_the_claim() -> None:
    writer = Writer()
    writer.bit(True, "sparse")
    writer.bit(False, "indexed")
    dtype(writer, torch.float32)
    writer.number(1, "axes", 64)
    writer.number(100, "size")
    writer.bit(True, "blocks")
    writer.number(2**20 - 1, "unit")
    with pytest.raises(ArtifactError, match=f"claims {100 * 2**20 * 4 + 100} bytes"):
        form.code(Reader(*writer.finish(), allowance=2**20), None, "w")
