"""Sparse tensors whose kept entries are levels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from tests.sets import oracle
from torch import Tensor

from tighten import codes
from tighten.codes import Dense, Indexed, refit
from tighten.errors import SetError
from tighten.sets import (
    Binary,
    BlockSparse,
    ChannelSparse,
    Codebook,
    FilterSparse,
    Intersection,
    LevelSet,
    NMSparse,
    PowerOfTwo,
    Set,
    Sparse,
    SupportSet,
    Ternary,
    Uniform,
)
from tighten.testing import check_set

BINARY = [-1.0, 1.0]
TERNARY = [-1.0, 0.0, 1.0]
FIVE = [-2.0, -1.0, 0.0, 1.0, 2.0]
FOUR = [-2.0, -1.0, 1.0, 2.0]
SEVEN = [-3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0]
HALVES = [-1.0, -0.5, 0.0, 0.5, 1.0]

ENTRIES = torch.arange(6).view(2, 3)
COLUMNS = torch.tensor([[0, 1, 2], [0, 1, 2]])
ROWS = torch.tensor([[0, 0], [1, 1], [2, 2]])


def at_most(count: int) -> Callable[[Tensor], bool]:
    return lambda kept: int(kept.sum()) <= count


def one_of_three(kept: Tensor) -> bool:
    return int(kept.view(2, 3).sum(1).max()) <= 1


SUPPORTS = {
    "two": (Sparse(count=2), ENTRIES, at_most(2)),
    "four": (Sparse(count=4), ENTRIES, at_most(4)),
    "all": (Sparse(count=6), ENTRIES, at_most(6)),
    "1:3": (NMSparse(1, 3), ENTRIES, one_of_three),
    "columns": (ChannelSparse(count=2), COLUMNS, at_most(2)),
    "blocks": (BlockSparse((1, 2), count=2), ROWS, at_most(2)),
    "filters": (FilterSparse(count=3), ROWS, at_most(3)),
}
# Level sets, and what they can do for single entries (with zero) and inside larger units.
LEVELS = {
    "binary": (Binary(), oracle.for_all(oracle.scaled(TERNARY)), oracle.for_all(oracle.scaled(BINARY))),
    "binary rows": (
        Binary(per_channel=True),
        oracle.by_row(oracle.scaled(TERNARY)),
        oracle.by_row(oracle.scaled(BINARY)),
    ),
    "ternary": (Ternary(), oracle.for_all(oracle.scaled(TERNARY)), oracle.for_all(oracle.scaled(TERNARY))),
    "uniform": (Uniform(2, zero=False), oracle.for_all(oracle.scaled(FIVE)), oracle.for_all(oracle.scaled(FOUR))),
    "given": (
        Uniform(3, interval=0.4),
        oracle.for_all(oracle.given([0.4 * step for step in SEVEN])),
        oracle.for_all(oracle.given([0.4 * step for step in SEVEN])),
    ),
    "powers": (
        PowerOfTwo(2, zero=False),
        oracle.for_all(oracle.powers(HALVES)),
        oracle.for_all(oracle.powers([-1.0, -0.5, 0.5, 1.0])),
    ),
    "codebook": (Codebook(bits=1), oracle.for_all(oracle.free(2, zero=True)), oracle.for_all(oracle.free(2))),
    "values": (
        Codebook(values=(-0.7, 0.5, 2.0)),
        oracle.for_all(oracle.given([-0.7, 0.0, 0.5, 2.0])),
        oracle.for_all(oracle.given([-0.7, 0.5, 2.0])),
    ),
}


def is_exact(support: SupportSet, levels: LevelSet) -> bool:
    fitted_to_all = not isinstance(levels, Codebook) and not levels.per_channel
    return levels.given or (isinstance(support, Sparse | NMSparse) and fitted_to_all)


@pytest.mark.parametrize("chosen", LEVELS)
@pytest.mark.parametrize("where", SUPPORTS)
def test_no_point_is_nearer_than_the_factor_allows(where: str, chosen: str) -> None:
    support, units, allowed = SUPPORTS[where]
    levels, fall_by_entry, fall_in_unit = LEVELS[chosen]
    s = support & levels
    fall = fall_by_entry if support.by_entry else fall_in_unit
    every = list(oracle.supports(units, allowed))
    for x in oracle.draws(tuple(units.shape), 9 if chosen == "codebook" else 15):
        reached = float((x - s.project(x)).norm())
        best = float((x.square().sum() - max(fall(x, kept) for kept in every)).clamp_min(0).sqrt())
        assert reached >= best - 1e-7
        assert reached <= (1.0 if is_exact(support, levels) else s.factor) * best + 1e-7


@pytest.mark.parametrize("levels", [Binary(), Ternary(), Uniform(2), PowerOfTwo(2)], ids=str)
def test_the_fitted_tables_are_declared_exact_where_they_are(levels: LevelSet) -> None:
    assert (Sparse(count=2) & levels).factor == levels.factor <= 1.001
    assert (NMSparse(1, 2) & levels).factor == levels.factor
    assert (FilterSparse(count=2) & levels).factor > 2


@pytest.mark.parametrize("support", [Sparse(count=9), NMSparse(2, 4), BlockSparse((2, 2), count=3)], ids=str)
@pytest.mark.parametrize(
    "levels", [Binary(), Uniform(3), Uniform(2, zero=False, per_channel=True), PowerOfTwo(3), Codebook(bits=2)], ids=str
)
def test_contract(support: SupportSet, levels: LevelSet) -> None:
    check_set(support & levels, (4, 8), seeds=range(1))


def test_filters_with_a_scale_each_are_chosen_exactly() -> None:
    s = FilterSparse(count=2) & Binary(per_channel=True)
    for x in oracle.draws((5, 4), 20):
        falls = (x.abs().sum(1).square() / 4).sort(descending=True).values
        expected = float(x.square().sum() - falls[:2].sum())
        assert float((x - s.project(x)).square().sum()) == pytest.approx(expected, abs=1e-10)


@pytest.mark.parametrize("levels", [Binary(), Uniform(2, zero=False), Codebook(bits=2)], ids=str)
def test_the_right_blocks_are_found_among_many_small_ones(levels: LevelSet) -> None:
    x = torch.full((16, 4), 1e-6)
    x[3], x[7] = 1.0, -2.0 if levels != Binary() else -1.0
    z = (FilterSparse(count=16) & levels).project(x)
    assert (x - z).norm() <= 1e-5


def test_ties_never_change_the_count() -> None:
    code = (Sparse(count=7) & Uniform(3)).fit(torch.ones(5, 9))
    assert code.kept == 7
    assert code.grid.flatten().nonzero().flatten().tolist() == list(range(7))


def test_an_entry_on_the_level_zero_is_dropped() -> None:
    x = torch.tensor([[10.0, 20.0, 30.0, 0.1]])
    code = (Sparse(count=4) & Uniform(3)).fit(x)
    assert code.grid.tolist() == [[True, True, True, False]]
    assert isinstance(code.inner, Indexed)
    assert 0.0 not in code.inner.steps.tolist()
    assert code.inner.index.dtype == torch.uint8


def test_a_kept_block_may_hold_the_level_zero() -> None:
    x = torch.tensor([[10.0, 0.1, 0.1, 0.1], [0.0, 0.1, 10.0, 0.1]])
    code = (BlockSparse((1, 2), count=2) & Ternary()).fit(x)
    assert code.kept == 4
    assert code.dense().tolist() == [[10.0, 0.0, 0.0, 0.0], [0.0, 0.0, 10.0, 0.0]]


def test_nothing_is_kept_of_nothing() -> None:
    for levels in (Binary(), Codebook(bits=2), Uniform(2, per_channel=True), PowerOfTwo(2)):
        code = (Sparse(count=2) & levels).fit(torch.zeros(2, 3))
        assert code.kept == 0
        assert torch.equal(code.dense(), torch.zeros(2, 3))
        assert (Sparse(count=2) & levels).violations(code) == []


def test_either_order_and_a_readable_repr() -> None:
    s = Uniform(3) & Sparse(count=5)
    assert s == Sparse(count=5) & Uniform(3)
    assert repr(s) == "Sparse(count=5) & Uniform(bits=3)"


@pytest.mark.parametrize(
    ("a", "b"), [(Sparse(), NMSparse(2, 4)), (Binary(), Ternary()), (Sparse() & Binary(), Ternary()), (Binary(), 3)]
)
def test_other_pairs_have_no_projection(a: Set, b: Set) -> None:
    with pytest.raises(SetError, match="has no projection: one must say where"):
        a & b


def test_an_open_support_waits_for_its_count() -> None:
    s = Sparse() & Binary()
    assert s.is_open
    assert s.with_count(3) == Sparse(count=3) & Binary()
    assert not s.with_count(3).is_open
    with pytest.raises(SetError, match="budget"):
        s.fit(torch.ones(4))


def test_violations() -> None:
    s = Sparse(count=3) & Uniform(2, zero=False)
    code = s.fit(torch.tensor([[1.0, 2.0, 0.0], [-2.0, 0.5, -0.5]]))
    assert s.violations(code) == []
    assert "3 entries kept, only 2" in (Sparse(count=2) & Uniform(2, zero=False)).violations(code)[0]
    assert "steps [-2.0, 2.0] are not of Binary()" in (Sparse(count=3) & Binary()).violations(code)[0]
    assert "one by one" in s.violations(replace(code, inner=Dense(torch.ones(3))))[0]
    assert "one by one" in s.violations(Dense(code.dense()))[-1]
    assert "6 entries kept" in s.violations(Uniform(2, zero=False).fit(torch.ones(2, 3)))[0]
    assert (Sparse(count=3) & Uniform(3)).violations(Uniform(3).fit(code.dense())) == []


def test_violations_of_scales_per_channel() -> None:
    s = Sparse(count=4) & Binary(per_channel=True)
    code = s.fit(torch.tensor([[1.0, 2.0, 0.0], [0.0, 0.0, 0.0], [4.0, 0.0, 5.0]]))
    assert isinstance(code.inner, Indexed)
    assert code.inner.counts.tolist() == [2, 0, 2]
    assert s.violations(code) == []
    shifted = replace(code, inner=replace(code.inner, counts=torch.tensor([1, 1, 2])))
    assert "3 scales for 4 entries" in s.violations(shifted)[0]


def test_refitted_codes_stay_in_the_set() -> None:
    generator = torch.Generator().manual_seed(5)
    x = torch.randn(6, 8, generator=generator)
    for support in (Sparse(count=12), BlockSparse((2, 2), count=3)):
        for levels in (Ternary(), Uniform(3, per_channel=True), Codebook(bits=2)):
            s = support & levels
            moved = refit(s.fit(x), x + 0.3 * torch.randn(6, 8, generator=generator))
            assert s.violations(moved) == []


def test_the_parts_of_a_code() -> None:
    code = (BlockSparse((2, 2), count=1) & Binary()).fit(torch.eye(4))
    assert isinstance(code, codes.Sparse)
    assert code.unit == (2, 2)
    assert code.grid.shape == (2, 2)
    assert code.inner.shape == (4,)
    assert isinstance(Binary() & Sparse(count=1), Intersection)
