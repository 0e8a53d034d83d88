"""Codes as whole numbers, against their dense tensors."""

import math
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.export.nets import mixed, same_bits

import tighten as tt
from tighten.codes import Dense, Indexed, Sparse
from tighten.export.integers import integers, reasons, whole_tensors


def drawn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def indexed(index, steps, scale=(1.0,), counts=None):
    index = torch.tensor(index, dtype=torch.uint8)
    counts = [index.numel()] if counts is None else counts
    return Indexed(index, torch.tensor(steps), torch.tensor(scale), torch.tensor(counts))


@pytest.mark.parametrize(
    ("chosen", "most"),
    [
        (tt.Binary(), 1),
        (tt.Ternary(), 1),
        (tt.Ternary(per_channel=True), 1),
        (tt.Uniform(bits=3), 3),
        (tt.Uniform(bits=3, per_channel=True), 3),
        (tt.Uniform(bits=4, zero=False), 8),
        (tt.PowerOfTwo(bits=3), 4),
        (tt.Sparse(density=0.3) & tt.Uniform(bits=3, zero=False), 4),
        (tt.Sparse(density=0.3) & tt.Uniform(bits=3, per_channel=True), 3),
        (tt.FilterSparse(density=0.5) & tt.Ternary(), 1),
        (tt.Codebook(values=(-0.75, -0.5, 0.0, 0.25)), 3),
    ],
)
def test_sets_of_equal_distances_are_whole_numbers(chosen, most):
    x = drawn(6, 5, 3)
    code = chosen.fit(x)
    found = integers(code)
    assert same_bits(found.dense(), code.dense())
    assert found.values.dtype == torch.int8
    assert found.values.abs().max() <= most
    assert len(found.scale) == (6 if "per_channel" in repr(chosen) else 1)


def test_a_row_without_entries_is_zero():
    x = drawn(4, 10)
    x[1] *= 1e-3
    code = (tt.Sparse(count=12) & tt.Uniform(bits=3, per_channel=True)).fit(x)
    assert not code.support[1].any()
    assert same_bits(integers(code).dense(), code.dense())


@pytest.mark.parametrize(
    ("code", "says"),
    [
        (Dense(drawn(3, 3)), "free"),
        (Sparse(torch.eye(3) > 0, (1, 1), Dense(drawn(3))), "free"),
        (tt.Codebook(values=(-0.1, 0.3, 0.7)).fit(drawn(4, 4)), "equal distances"),
        (tt.Codebook(bits=3).fit(drawn(20, 20)), "equal distances"),
        (indexed([0, 1], [1.0, 200.0]), "equal distances"),
        (indexed([0, 1], [1.0, float("nan")]), "finite"),
        # Equal distances in the table, but the product 3 * 0.1 is not what 0.3 is in float32.
        (indexed([[0, 1], [0, 1]], [0.1, 0.3]), "equal distances"),
        (indexed([[0, 1], [0, 1]], [1.0, 2.0], [1.0, 3.0], [1, 3]), "one for each output"),
        (indexed([[0, 1], [0, 1]], [1.0, 2.0], [1.0, 3.0, 5.0, 7.0], [1, 1, 1, 1]), "one for each output"),
        # Minus zero is no whole number.
        (indexed([0, 1], [-0.0, 1.0]), "last bit"),
    ],
)
def test_other_codes_are_refused_with_the_reason(code, says):
    with pytest.raises(tt.ArtifactError, match=says):
        integers(code)


def test_only_levels_in_use_count():
    code = indexed([1, 2, 2], [0.1234, 2.0, -6.0, 1e30])
    found = integers(code)
    assert found.values.tolist() == [1, -3, -3]
    assert found.scale.tolist() == [2.0]


def test_numbers_are_smaller_only_where_no_bit_is_lost():
    # 1.3730 * 3 is rounded, and 29 times that is not what 87 * 1.3730 is rounded to.
    code = indexed([0, 1], [3.0, 87.0], [1.3730231523513794])
    assert integers(code).values.tolist() == [3, 87]
    assert same_bits(integers(code).dense(), code.dense())
    assert integers(indexed([0, 1], [3.0, 87.0], [1.25])).values.tolist() == [1, 29]


def test_scalars_and_empty_tensors():
    assert integers(indexed(1, [0.0, 3.0])).dense().tolist() == 3.0
    empty = integers(Indexed(torch.zeros(0, dtype=torch.uint8), torch.ones(1), torch.ones(1), torch.zeros(1).long()))
    assert empty.values.shape == (0,)
    assert empty.bits((2, 4)) == 2


@given(st.lists(st.integers(-127, 127), min_size=1, max_size=8), st.integers(-20, 20), st.floats(0.125, 1024, width=32))
def test_multiples_are_found_and_least(numbers, power, scale):
    steps = [number * 2.0**power for number in numbers]
    code = indexed(list(range(len(numbers))), steps, [scale])
    found = integers(code)
    assert same_bits(found.dense(), code.dense())
    # The numbers are to each other as the levels are, and small: no factor of two is left in all.
    values = found.values.tolist()
    assert not any(values) or math.gcd(*values) % 2 == 1
    assert all(a * d == b * c for (a, b), (c, d) in zip(pairwise(numbers), pairwise(values), strict=True))


@pytest.mark.parametrize(
    ("values", "bits"),
    [([0], 2), ([-2, 1], 2), ([2], 4), ([-3], 4), ([-8, 7], 4), ([8], 8), ([-9], 8), ([127], 8)],
)
def test_the_least_width_that_holds_all(values, bits):
    found = integers(indexed(list(range(len(values))), [float(v) for v in values]))
    # A single level is its own unit, so the numbers are put in by hand.
    found = type(found)(torch.tensor(values, dtype=torch.int8), found.scale)
    assert found.bits((8, 2, 4)) == bits


def test_an_artifact_is_split_with_reasons():
    _, artifact = mixed()

    def small(name, numbers):
        if numbers.values.numel() < 30:
            raise tt.ArtifactError("too small")

    whole, floats = whole_tensors(artifact, small)
    assert sorted(whole) == ["b.weight", "c.weight"]
    assert sorted(floats) == ["a.weight", "d.weight"]
    assert reasons(floats) == ["a.weight (values are free, not levels)", "d.weight (too small)"]
    same = reasons({name: "why" for name in "pqrst"})
    assert same == ["p, q, r and 2 more (why)"]
