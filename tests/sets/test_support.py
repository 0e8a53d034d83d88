"""Sparse, NMSparse, BlockSparse, FilterSparse, ChannelSparse and what they share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from tests.sets.oracle import draws, supports
from torch import Tensor

from tighten import codes
from tighten.codes import Dense, Indexed
from tighten.errors import SetError
from tighten.sets import BlockSparse, ChannelSparse, FilterSparse, NMSparse, Sparse, SupportSet
from tighten.testing import check_set

ENTRIES = torch.arange(8).view(2, 4)
BLOCKS = torch.tensor([[0, 0, 1, 1], [0, 0, 1, 1], [2, 2, 3, 3], [2, 2, 3, 3]])
ROWS = torch.arange(4)[:, None].expand(4, 3)
COLUMNS = torch.arange(4)[None, :].expand(3, 4)


def at_most(count: int) -> Callable[[Tensor], bool]:
    return lambda kept: int(kept.sum()) <= count


def two_of_four(kept: Tensor) -> bool:
    return int(kept.view(2, 4).sum(1).max()) <= 2


CASES = [
    (Sparse(count=3), ENTRIES, at_most(3)),
    (Sparse(density=0.4), ENTRIES, at_most(3)),
    (Sparse(count=8), ENTRIES, at_most(8)),
    (NMSparse(2, 4), ENTRIES, two_of_four),
    (BlockSparse((2, 2), count=2), BLOCKS, at_most(2)),
    (BlockSparse((2, 2), density=0.3), BLOCKS, at_most(1)),
    (FilterSparse(count=2), ROWS, at_most(2)),
    (ChannelSparse(density=0.5), COLUMNS, at_most(2)),
]


@pytest.mark.parametrize(("s", "units", "allowed"), CASES, ids=[str(case[0]) for case in CASES])
def test_no_support_is_better(s: SupportSet, units: Tensor, allowed: Callable[[Tensor], bool]) -> None:
    every = list(supports(units, allowed))
    for x in draws(tuple(units.shape), 30):
        best = min(float((x * ~support).square().sum()) for support in every)
        assert float((x - s.project(x)).square().sum()) == pytest.approx(best, abs=1e-12)


@pytest.mark.parametrize("shape", [(4, 8), (4, 4, 2, 2)])
@pytest.mark.parametrize("s", [case[0] for case in CASES], ids=str)
def test_contract(s: SupportSet, shape: tuple[int, ...]) -> None:
    check_set(s, shape, seeds=range(1))


@pytest.mark.parametrize(
    ("s", "shape", "kept", "unit"),
    [
        (Sparse(count=7), (5, 9), 7, (1, 1)),
        (Sparse(density=0.29), (10, 10), 29, (1, 1)),
        (Sparse(density=1e-9), (5, 9), 1, (1, 1)),
        (Sparse(density=1), (5, 9), 45, (1, 1)),
        (Sparse(count=3), (9,), 3, (1,)),
        (NMSparse(1, 4), (3, 2, 2, 2), 6, (1, 1, 1, 1)),
        (BlockSparse((2, 3), count=3), (4, 6), 3, (2, 3)),
        (BlockSparse((2, 3), count=3), (4, 6, 5, 5), 3, (2, 3, 5, 5)),
        (FilterSparse(density=0.5), (6, 4, 3, 3), 3, (1, 4, 3, 3)),
        (FilterSparse(count=2), (6,), 2, (1,)),
        (ChannelSparse(count=2), (6, 4, 3, 3), 2, (6, 1, 3, 3)),
    ],
    ids=str,
)
def test_ties_never_change_the_count(s: SupportSet, shape: tuple[int, ...], kept: int, unit: tuple[int, ...]) -> None:
    code = s.fit(torch.ones(shape))
    assert int(code.grid.sum()) == kept
    assert code.unit == unit
    assert code.shape == shape


def test_of_equal_entries_the_first_are_kept() -> None:
    x = torch.tensor([[1.0, -2.0, 1.0], [-1.0, 2.0, 1.0]])
    assert Sparse(count=3).fit(x).grid.tolist() == [[True, True, False], [False, True, False]]
    assert NMSparse(2, 3).fit(x).grid.tolist() == [[True, True, False], [True, True, False]]
    assert FilterSparse(count=1).fit(torch.ones(3, 2)).grid.tolist() == [[True], [False], [False]]


@pytest.mark.parametrize("s", [Sparse(count=4), NMSparse(3, 4), FilterSparse(density=1)], ids=str)
def test_a_zero_is_never_kept(s: SupportSet) -> None:
    x = torch.tensor([[0.0, 3.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0]])
    assert s.fit(x).grid.sum() == 1
    assert s.fit(torch.zeros(2, 4)).kept == 0


def test_supports_are_nested() -> None:
    x = torch.randn(20, 20, generator=torch.Generator().manual_seed(0)).mul(3).round()
    larger = Sparse(count=300).fit(x)
    smaller = Sparse(count=100).fit(larger.dense())
    assert not bool((smaller.grid & ~larger.grid).any())


def test_values_are_kept_bit_for_bit_in_row_major_order() -> None:
    x = torch.randn(4, 6, generator=torch.Generator().manual_seed(1))
    code = BlockSparse((2, 2), count=3).fit(x)
    assert isinstance(code.inner, Dense)
    assert torch.equal(code.inner.values, x[code.support])
    assert torch.equal(code.dense()[code.support], x[code.support])


def test_a_large_tensor_keeps_exactly_its_count() -> None:
    x = torch.randn(500, 800, generator=torch.Generator().manual_seed(2)).mul(50).round()
    for count in (1, 1750, 199_999, 390_000):
        code = Sparse(count=count).fit(x)
        assert code.kept == min(count, int((x != 0).sum()))
        assert x[code.support].abs().min() >= x[~code.support].abs().max()


def test_an_open_set_waits_for_its_count() -> None:
    s = Sparse()
    assert s.is_open
    assert not s.with_count(5).is_open
    assert s.with_count(5) == Sparse(count=5)
    assert Sparse(density=0.1).with_count(5) == Sparse(density=0.1)
    with pytest.raises(SetError, match="give count=, density= or put a budget on the stage"):
        s.fit(torch.ones(3))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Sparse(count=0), "count=0"),
        (lambda: Sparse(count=2.5), "count=2.5"),  # type: ignore[arg-type]
        (lambda: Sparse(count=True), "count=True"),
        (lambda: Sparse(density=0), "density=0"),
        (lambda: Sparse(density=1.01), "density=1.01"),
        (lambda: Sparse(density=float("nan")), "density=nan"),
        (lambda: Sparse(density="dense"), "density='dense'"),  # type: ignore[arg-type]
        (lambda: Sparse(count=5, density=0.5), "one of the two"),
        (lambda: FilterSparse(), "give count= or density="),
        (lambda: BlockSparse((2, 2)), "give count= or density="),
        (lambda: BlockSparse((2, 0), count=1), "block=0"),
        (lambda: BlockSparse(4, count=1), r"such as block=\(4, 4\)"),  # type: ignore[arg-type]
        (lambda: NMSparse(3, 2), "n=3"),
        (lambda: NMSparse(0, 4), "n=0"),
    ],
)
def test_sets_that_cannot_be(make: Callable[[], object], message: str) -> None:
    with pytest.raises(SetError, match=message):
        make()


@pytest.mark.parametrize(
    ("s", "x", "message"),
    [
        (Sparse(count=7), torch.ones(2, 3), "cannot keep 7 of 6 entries"),
        (FilterSparse(count=3), torch.ones(2, 3), "cannot keep 3 of 2 filters"),
        (NMSparse(2, 4), torch.ones(3, 6), "cut the 6 weights per output of shape .* into groups of 4"),
        (NMSparse(2, 4), torch.ones(8), "at least two axes"),
        (BlockSparse((2, 2), count=1), torch.ones(4, 3), "axis 1 of shape .* into blocks of 2"),
        (BlockSparse((2, 2), count=1), torch.ones(4), "at least two axes"),
        (ChannelSparse(count=1), torch.ones(4), "at least two axes"),
        (Sparse(count=1), torch.tensor([1.0, float("nan")]), "NaN or infinite"),
        (Sparse(count=1), torch.tensor([1.0, -float("inf")]), "NaN or infinite"),
        (Sparse(count=1), torch.tensor([1e200, 1.0], dtype=torch.float64), "beyond 1e"),
        (Sparse(count=1), torch.tensor([1, 2]), "int64"),
        (Sparse(count=1), torch.ones(0, 3), r"shape \(0, 3\)"),
    ],
    ids=str,
)
def test_tensors_that_cannot_be_fitted(s: SupportSet, x: Tensor, message: str) -> None:
    with pytest.raises(SetError, match=message):
        s.fit(x)


def grid_code(grid: list[list[bool]], unit: tuple[int, ...] = (1, 1)) -> codes.Sparse:
    cells = torch.tensor(grid)
    kept = int(cells.sum()) * unit[0] * unit[1]
    return codes.Sparse(cells, unit, Dense(torch.ones(kept)))


def test_violations_counts_units_of_its_own() -> None:
    entries = grid_code([[True, True, False, False], [True, False, False, True]])
    assert Sparse(count=4).violations(entries) == []
    assert Sparse(count=3).violations(entries) == ["4 entries kept, only 3 of them allowed by Sparse(count=3)"]
    assert NMSparse(2, 4).violations(entries) == []
    assert NMSparse(2, 2).violations(entries) == []
    assert "4 entries kept, only 3" in NMSparse(1, 2).violations(entries)[0]
    assert BlockSparse((2, 2), count=2).violations(entries) == []
    assert "2 units kept, only 1" in BlockSparse((2, 2), count=1).violations(entries)[0]
    assert "3 units kept, only 2" in ChannelSparse(count=2).violations(entries)[0]
    blocks = grid_code([[True, False]], unit=(2, 2))
    assert Sparse(count=4).violations(blocks) == []
    assert "4 entries kept, only 3" in Sparse(count=3).violations(blocks)[0]


def test_violations_judges_plain_values_by_what_is_not_zero() -> None:
    x = torch.tensor([[1.0, 0.0], [0.0, 2.0]])
    assert Sparse(count=2).violations(Dense(x)) == []
    assert "2 entries kept" in Sparse(count=1).violations(Dense(x))[0]
    levels = Indexed(torch.tensor([[0, 1], [1, 1]]), torch.tensor([0.0, 1.0]), torch.ones(1), torch.tensor([4]))
    assert "3 entries kept" in Sparse(count=2).violations(levels)[0]


def test_violations_of_codes_that_do_not_fit() -> None:
    broken = codes.Sparse(torch.tensor([[True, False]]), (1, 1), Dense(torch.ones(2)))
    assert "1 entries kept, but values of shape (2,)" in Sparse(count=2).violations(broken)[0]
    nan = codes.Sparse(torch.tensor([[True, False]]), (1, 1), Dense(torch.tensor([float("nan")])))
    assert Sparse(count=2).violations(nan) == ["NaN or infinite values"]
    assert "groups of 4" in NMSparse(2, 4).violations(Dense(torch.ones(2, 3)))[0]
    assert "budget" in Sparse().violations(Dense(torch.ones(2, 3)))[0]


@dataclass(frozen=True)
class Corner(SupportSet):
    """A support set from elsewhere: only the first row."""

    def unit(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return (1,) * len(shape)

    def keep(self, gain: Tensor) -> Tensor:
        kept = gain > 0
        kept[1:] = False
        return kept


def test_a_set_from_elsewhere_needs_only_units_and_a_choice() -> None:
    check_set(Corner(), (3, 4), seeds=range(1))
    assert "4 units kept, only 2" in Corner().violations(Dense(torch.ones(2, 2)))[0]


def test_repr_says_what_was_given() -> None:
    assert repr(Sparse(count=5)) == "Sparse(count=5)"
    assert repr(Sparse()) == "Sparse()"
    assert repr(NMSparse(2, 4)) == "NMSparse(n=2, m=4)"
