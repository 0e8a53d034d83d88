"""Codes of parts made whole, and cut again: for every form, however a tensor is shared."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tests.sets.sharing import shared
from torch import Tensor

import tighten as tt
from tighten.codes import Sparse, to_plain
from tighten.joined import joined, joined_code, joined_grid, own, own_code, own_grid
from tighten.sets import Set
from tighten.sets.part import Part

SETS = [
    tt.Sparse(density=0.3),
    tt.Uniform(bits=3),
    tt.Uniform(bits=3, per_channel=True),
    tt.Sparse(density=0.4) & tt.PowerOfTwo(bits=3),
    tt.NMSparse(2, 4) & tt.Uniform(bits=3, per_channel=True),
    tt.FilterSparse(count=3),
    tt.FilterSparse(count=3) & tt.Binary(),
]


def draw() -> Tensor:
    return torch.randn(7, 8, 2, generator=torch.Generator().manual_seed(0))


def same(a: Any, b: Any) -> None:
    if isinstance(a, dict):
        assert a.keys() == b.keys()
        for key in a:
            same(a[key], b[key])
    elif isinstance(a, Tensor) and a.is_floating_point():
        torch.testing.assert_close(a, b, rtol=1e-6, atol=0)
    else:
        assert torch.equal(a, b) if isinstance(a, Tensor) else a == b


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_tensor_comes_back_and_each_part_out_of_it(axis: int) -> None:
    x = draw()

    def work(local: Tensor, part: Part) -> bool:
        whole = joined(local, part)
        return torch.equal(whole, x) and torch.equal(own(whole, part, tuple(local.shape)), local)

    assert shared(x, 5, axis, work) == [True] * 5  # along the last axis three parts are empty
    assert joined(x, None) is own(x, None, (1,)) is x


@pytest.mark.parametrize("s", SETS, ids=str)
def test_the_code_of_the_parts_is_that_of_one_process(s: Set) -> None:
    x = draw()
    wanted = to_plain(s.fit(x))

    def work(local: Tensor, part: Part) -> tuple[Any, Any, Any]:
        code = s.fit(local, part)
        whole = joined_code(code, s, part)
        return to_plain(whole), to_plain(own_code(whole, s, part, tuple(local.shape))), to_plain(code)

    for n in (2, 4, 5):  # four processes have two, two, two and one of seven rows; of five one has none
        for whole, again, code in shared(x, n, 0, work):
            same(whole, wanted)
            same(again, code)


@pytest.mark.parametrize("s", [SETS[0], SETS[5], tt.ChannelSparse(count=3)], ids=str)
def test_grids_of_kept_units_likewise(s: Set) -> None:
    x = draw()
    wanted = s.fit(x)
    assert isinstance(wanted, Sparse)

    def work(local: Tensor, part: Part) -> bool:
        code = s.fit(local, part)
        assert isinstance(code, Sparse)
        grid, unit = joined_grid(code.grid, code.unit, s, part)
        own_, own_unit = own_grid(grid, unit, s, part, tuple(local.shape))
        assert isinstance(wanted, Sparse)
        return (
            torch.equal(grid, wanted.grid)
            and unit == wanted.unit
            and torch.equal(own_, code.grid)
            and own_unit == code.unit
        )

    assert shared(x, 3, 0, work) == [True] * 3
