"""Binary, Ternary, Uniform, PowerOfTwo, Codebook and what they share."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from tests.sets import oracle
from torch import Tensor

from tighten import codes
from tighten.codes import Dense, Indexed
from tighten.errors import SetError
from tighten.sets import Binary, Codebook, LevelSet, PowerOfTwo, Ternary, Uniform
from tighten.testing import check_set

BINARY = [-1.0, 1.0]
TERNARY = [-1.0, 0.0, 1.0]
SEVEN = [-3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0]
FOUR = [-2.0, -1.0, 1.0, 2.0]
HALVES = [-1.0, -0.5, -0.25, 0.0, 0.25, 0.5, 1.0]

CASES = [
    (Binary(), oracle.for_all(oracle.scaled(BINARY))),
    (Binary(per_channel=True), oracle.by_row(oracle.scaled(BINARY))),
    (Ternary(), oracle.for_all(oracle.scaled(TERNARY))),
    (Ternary(per_channel=True), oracle.by_row(oracle.scaled(TERNARY))),
    (Uniform(2), oracle.for_all(oracle.scaled(TERNARY))),
    (Uniform(3), oracle.for_all(oracle.scaled(SEVEN))),
    (Uniform(1, zero=False), oracle.for_all(oracle.scaled(BINARY))),
    (Uniform(2, zero=False), oracle.for_all(oracle.scaled(FOUR))),
    (Uniform(3, per_channel=True), oracle.by_row(oracle.scaled(SEVEN))),
    (Uniform(3, interval=0.4), oracle.for_all(oracle.given([0.4 * step for step in SEVEN]))),
    (PowerOfTwo(3), oracle.for_all(oracle.powers(HALVES))),
    (PowerOfTwo(2, zero=False), oracle.for_all(oracle.powers([-1.0, -0.5, 0.5, 1.0]))),
    (PowerOfTwo(3, per_channel=True), oracle.by_row(oracle.powers(HALVES))),
    (PowerOfTwo(3, top=-1), oracle.for_all(oracle.given([step / 2 for step in HALVES]))),
    (Codebook(bits=1), oracle.for_all(oracle.free(2))),
    (Codebook(levels=3), oracle.for_all(oracle.free(3))),
    (Codebook(values=(-0.7, 0.1, 1.0)), oracle.for_all(oracle.given([-0.7, 0.1, 1.0]))),
]
SETS = [case[0] for case in CASES]


@pytest.mark.parametrize(("s", "fall"), CASES, ids=[str(case[0]) for case in CASES])
def test_no_levels_are_better(s: LevelSet, fall: Callable[[Tensor, Tensor], float]) -> None:
    for x in oracle.draws((2, 3), 15):
        reached = float((x - s.project(x)).square().sum())
        best = float(x.square().sum()) - fall(x, torch.ones(2, 3, dtype=torch.bool))
        assert reached == pytest.approx(best, abs=1e-10)


@pytest.mark.parametrize("s", SETS, ids=str)
def test_contract(s: LevelSet) -> None:
    check_set(s, (4, 3, 2), seeds=range(1))


@pytest.mark.parametrize("s", SETS, ids=str)
def test_many_ties(s: LevelSet) -> None:
    x = torch.arange(-300, 300).float().div(100).round().view(20, 30)
    code = s.fit(x)
    assert s.violations(code) == []
    assert code.index.dtype == torch.uint8


def test_binary_is_the_mean_magnitude_and_plus_for_zero() -> None:
    code = Binary().fit(torch.tensor([3.0, -1.0, 0.0, -0.0]))
    assert code.dense().tolist() == [1.0, -1.0, 1.0, 1.0]


def test_ternary_by_hand() -> None:
    # S_1^2 = 16, S_2^2 / 2 = 24.5, S_3^2 / 3 = 21.3
    assert Ternary().project(torch.tensor([4.0, -3.0, 1.0])).tolist() == [3.5, -3.5, 0.0]


def test_powers_of_two_are_nearest_in_value() -> None:
    x = torch.tensor([1.0, 0.74, 0.76, -0.49, 0.13, 0.12])
    assert PowerOfTwo(3, top=0).project(x).tolist() == [1.0, 0.5, 1.0, -0.5, 0.25, 0.0]


def test_powers_of_two_stay_within_the_type() -> None:
    x = torch.tensor([3.3e38, -3.3e38])
    assert torch.isfinite(PowerOfTwo(3).project(x)).all()


def test_each_channel_has_its_scale() -> None:
    x = torch.tensor([[1.0, -1.0], [4.0, 4.0], [0.0, 0.0]])
    code = Binary(per_channel=True).fit(x)
    assert code.scale.tolist() == [1.0, 4.0, 0.0]
    assert code.counts.tolist() == [2, 2, 2]
    assert torch.equal(code.dense(), x)
    assert "at least two axes" in Binary(per_channel=True).violations(Binary().fit(x[0]))[0]


@pytest.mark.parametrize(
    ("s", "levels"),
    [
        (Binary(), 2),
        (Ternary(), 3),
        (Uniform(3), 7),
        (Uniform(8), 255),
        (Uniform(8, zero=False), 256),
        (PowerOfTwo(3), 7),
        (PowerOfTwo(8), 255),
        (Codebook(bits=8), 256),
        (Codebook(levels=5), 5),
    ],
    ids=str,
)
def test_how_many_levels_there_are(s: LevelSet, levels: int) -> None:
    x = torch.randn(3000, generator=torch.Generator().manual_seed(3))
    code = s.fit(x)
    assert len(code.steps) == levels
    assert s.violations(code) == []


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("s", SETS, ids=str)
def test_short_floats(s: LevelSet, dtype: torch.dtype) -> None:
    x = torch.randn(6, 8, generator=torch.Generator().manual_seed(4)).to(dtype)
    code = s.fit(x)
    assert code.dense().dtype == dtype
    assert s.violations(code) == []


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Uniform(0), "bits=0"),
        (lambda: Uniform(1), "bits=1.*from 2 to 8"),
        (lambda: Uniform(9), "bits=9"),
        (lambda: Uniform(2.0), "bits=2.0"),  # type: ignore[arg-type]
        (lambda: Uniform(3, interval=0.0), "positive"),
        (lambda: Uniform(3, interval=float("inf")), "interval=inf"),
        (lambda: Uniform(3, interval=0.1, per_channel=True), "one of the two"),
        (lambda: Uniform(3, zero="no"), "zero='no'"),  # type: ignore[arg-type]
        (lambda: Binary(per_channel=1), "per_channel=1"),  # type: ignore[arg-type]
        (lambda: PowerOfTwo(1), "bits=1"),
        (lambda: PowerOfTwo(3, top=1.5), "top=1.5"),  # type: ignore[arg-type]
        (lambda: PowerOfTwo(3, top=0, per_channel=True), "one of the two"),
        (lambda: Codebook(), "needs one of"),
        (lambda: Codebook(bits=2, levels=4), "needs one of"),
        (lambda: Codebook(levels=257), "levels=257"),
        (lambda: Codebook(values=()), "1 to 256 numbers"),
        (lambda: Codebook(values=(1.0, 1.0)), "each number once"),
        (lambda: Codebook(values=(1.0, "two")), "values='two'"),  # type: ignore[arg-type]
    ],
)
def test_sets_that_cannot_be(make: Callable[[], object], message: str) -> None:
    with pytest.raises(SetError, match=message):
        make()


@pytest.mark.parametrize(
    ("s", "x", "message"),
    [
        (Uniform(3), torch.tensor([float("nan")]), "NaN"),
        (Binary(per_channel=True), torch.ones(3), "at least two axes"),
        (PowerOfTwo(8), torch.ones(3, dtype=torch.float16), "cannot be told apart in torch.float16"),
        (Uniform(3, interval=1e6), torch.ones(3, dtype=torch.float16), "too large for torch.float16"),
        (Codebook(values=(1e6, 1.0)), torch.ones(3, dtype=torch.float16), "too large for torch.float16"),
    ],
    ids=str,
)
def test_tensors_that_cannot_be_fitted(s: LevelSet, x: Tensor, message: str) -> None:
    with pytest.raises(SetError, match=message):
        s.fit(x)


def indexed(index: list[int], steps: list[float], scale: float = 1.0) -> Indexed:
    return Indexed(torch.tensor(index), torch.tensor(steps), torch.tensor([scale]), torch.tensor([len(index)]))


@pytest.mark.parametrize(
    ("s", "code", "message"),
    [
        (Binary(), Dense(torch.ones(2)), "one by one"),
        (Binary(), indexed([0, 1], [-1.0, 2.0]), r"steps \[2.0\]"),
        (Binary(), indexed([0, 1], TERNARY), r"steps \[0.0\]"),
        (Ternary(), indexed([0, 1], SEVEN), r"steps \[-3.0, -2.0, 2.0, 3.0\]"),
        (Uniform(3), indexed([0, 1], [-1.5, 1.5]), r"steps \[-1.5, 1.5\]"),
        (Uniform(3), indexed([0, 1], [-4.0, 4.0]), r"steps \[-4.0, 4.0\]"),
        (Uniform(3, zero=False), indexed([0, 1], [0.0, 1.0]), r"steps \[0.0\]"),
        (Uniform(3, interval=0.5), indexed([0, 1], BINARY, 0.6), "interval 0.6"),
        (PowerOfTwo(3), indexed([0, 1], [0.5, 0.75]), r"steps \[0.75\]"),
        (PowerOfTwo(3), indexed([0, 1], BINARY, 3.0), "not powers of two"),
        (PowerOfTwo(3, top=2), indexed([0, 1], BINARY, 2.0), "not 2\\^2"),
        (Codebook(bits=1), indexed([0, 1], [1.0, 2.0, 3.0]), "3 levels, at most 2"),
        (Codebook(bits=1), indexed([0, 1], [1.0, 2.0], 2.0), "scale 2.0"),
        (Codebook(values=(1.0, 2.0)), indexed([0, 1], [1.0, 2.5]), "level 2.5"),
        (Binary(), indexed([0, 1], [-1.0, float("nan")]), "NaN"),
        (Binary(), indexed([0, 1], BINARY, float("inf")), "infinite"),
        (Binary(), indexed([0, 1], BINARY, -1.0), "negative scale"),
        (Binary(), indexed([0, 2], BINARY), "not in the table of 2"),
        (Binary(), Binary(per_channel=True).fit(torch.ones(2, 2)), "2 scales for 4 entries"),
        (Binary(per_channel=True), Binary().fit(torch.ones(2, 2)), "1 scales for 4 entries"),
        (Binary(), replace(indexed([0, 1], BINARY), counts=torch.tensor([3])), "1 scales for 2 entries"),
    ],
    ids=str,
)
def test_violations(s: LevelSet, code: codes.Code, message: str) -> None:
    wrong = s.violations(code)
    assert re.search(message, "; ".join(wrong))


def test_zeros_outside_a_support_count_as_a_level() -> None:
    code = codes.Sparse(torch.tensor([True, False, True]), (1,), indexed([0, 1], BINARY))
    assert Ternary().violations(code) == []
    assert Uniform(3).violations(code) == []
    assert Codebook(levels=3).violations(code) == []
    assert "steps [0.0]" in Binary().violations(code)[0]
    assert "3 levels" in Codebook(levels=2).violations(code)[0]
    full = codes.Sparse(torch.tensor([True, True]), (1,), indexed([0, 1], BINARY))
    assert Binary().violations(full) == []
