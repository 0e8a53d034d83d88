"""Plain numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from tighten.codecs.scalars import DTYPES, _deflate, _inflate, dtype, scalars
from tighten.codecs.stream import Writer
from tighten.errors import ArtifactError

BothWays: TypeAlias = Callable[..., tuple[Any, int]]
Trip: TypeAlias = Callable[[Tensor], tuple[Tensor, int]]


@pytest.fixture(scope="module")
def trip(both_ways: BothWays) -> Trip:
    return lambda tensor: both_ways(
        lambda coder, value: scalars(coder, value, tensor.dtype, tuple(tensor.shape)), tensor
    )


def same(a: Tensor, b: Tensor) -> bool:
    bytes_of = [t.contiguous().reshape(-1).view(torch.uint8) for t in (a, b)]
    return a.dtype == b.dtype and a.shape == b.shape and torch.equal(*bytes_of)


@given(st.sampled_from(DTYPES), st.lists(st.integers(0, 4), max_size=3), st.randoms(use_true_random=False))
def test_any_bits_come_back(trip: Trip, of: torch.dtype, shape: list[int], random: object) -> None:
    size = torch.empty(shape).numel() * of.itemsize
    data = bytearray(random.randbytes(size)) if of is not torch.bool else bytearray(i % 2 for i in range(size))
    flat = torch.frombuffer(data, dtype=torch.uint8) if size else torch.empty(0, dtype=torch.uint8)
    tensor = flat.view(of).reshape(shape)
    assert same(trip(tensor)[0], tensor)


def test_strides_do_not_matter(trip: Trip) -> None:
    tensor = torch.randn(6, 5, 4, 3).to(memory_format=torch.channels_last).transpose(0, 1)
    assert same(trip(tensor)[0], tensor)


@pytest.mark.parametrize("special", [float("nan"), float("inf"), -0.0, 5e-324])
def test_special_values_come_back(special: float, trip: Trip) -> None:
    tensor = torch.tensor([special, -special], dtype=torch.float64)
    assert same(trip(tensor)[0], tensor)


def test_trained_floats_are_smaller_than_raw(trip: Trip) -> None:
    tensor = torch.randn(2000, generator=torch.Generator().manual_seed(0)) * 0.05
    assert trip(tensor)[1] < 0.88 * 8000


def test_a_type_of_fewer_digits_kept_in_a_wider_one_costs_what_it_holds(trip: Trip) -> None:
    tensor = torch.randn(2000, generator=torch.Generator().manual_seed(0)).bfloat16()
    assert trip(tensor.float())[1] < trip(tensor)[1] + 120


def test_patterns_are_deflated(trip: Trip) -> None:
    mask = torch.tril(torch.ones(256, 256, dtype=torch.bool))
    assert trip(mask)[1] < 1000


def test_what_one_tensor_taught_serves_the_next(trip: Trip) -> None:
    parts = (torch.randn(600, generator=torch.Generator().manual_seed(0)) * 0.05).split(100)
    alone = sum(trip(part)[1] for part in parts)
    writer = Writer()
    for part in parts:
        scalars(writer, part, part.dtype, tuple(part.shape))
    coded, raw = writer.finish()
    assert len(coded) + len(raw) < alone


@pytest.mark.parametrize("of", DTYPES)
def test_types_come_back(of: torch.dtype, both_ways: BothWays) -> None:
    assert both_ways(dtype, of)[0] is of


def test_numbers_of_types_never_change() -> None:
    assert [str(of).removeprefix("torch.") for of in DTYPES[:10]] == [
        *("float32", "float16", "bfloat16", "float64", "bool", "uint8", "int8", "int16", "int32", "int64")
    ]


def test_an_unknown_type_is_refused() -> None:
    with pytest.raises(ArtifactError, match=r"torch\.quint8 cannot be stored"):
        dtype(Writer(), torch.quint8)


@pytest.mark.parametrize("size", [0, 99, 101, 1000])
def test_a_plane_of_another_size_is_refused(size: int) -> None:
    with pytest.raises(ArtifactError, match=f"does not hold {size} bytes"):
        _inflate(_deflate(bytes(100)), size)
    assert _inflate(_deflate(bytes(100)), 100) == bytes(100)
