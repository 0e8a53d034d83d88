"""The contract check finds what is broken."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
import torch
from torch import Tensor

from tighten.codes import Code, Dense, Indexed
from tighten.errors import SetError
from tighten.sets import Set, Sparse, Uniform
from tighten.testing import check_set

SHAPE = (4, 6)


@dataclass(frozen=True)
class Constant(Set):
    """A right set: all entries equal."""

    def fit(self, x: Tensor) -> Code:
        index = torch.zeros(x.shape, dtype=torch.uint8)
        return Indexed(index, x.new_ones(1), x.mean()[None], torch.tensor([x.numel()]))

    def violations(self, code: Code) -> list[str]:
        return [] if len(code.dense().unique()) == 1 else ["entries that differ"]


class InPlace(Constant):
    def fit(self, x: Tensor) -> Code:
        x.fill_(float(x.mean()))
        return super().fit(x)


class Flat(Constant):
    def fit(self, x: Tensor) -> Code:
        return super().fit(x.flatten())


class Float64(Constant):
    def fit(self, x: Tensor) -> Code:
        return super().fit(x.double())


class NaNForZero(Constant):
    def fit(self, x: Tensor) -> Code:
        code = super().fit(x)
        assert isinstance(code, Indexed)
        return replace(code, scale=code.scale * x.abs().max() / x.abs().max())


class Overflows(Constant):
    def fit(self, x: Tensor) -> Code:
        code = super().fit(x)
        assert isinstance(code, Indexed)
        return replace(code, scale=code.scale * x.square().sum() / x.square().sum().clamp_min(1e-30))


class Moody(Constant):
    def fit(self, x: Tensor) -> Code:
        return super().fit(x + torch.rand(1, dtype=x.dtype))


class Refuses(Constant):
    def violations(self, code: Code) -> list[str]:
        return ["I do not like it"]


class Shrinks(Constant):
    def fit(self, x: Tensor) -> Code:
        return super().fit(0.9 * x)


class Far(Constant):
    """Always the same point of the set, instead of the nearest: idempotent, but not a projection."""

    def fit(self, x: Tensor) -> Code:
        if len(x.unique()) == 1:
            return super().fit(x)
        return super().fit(torch.full_like(x, float(x.max())))


class BetterThanExact(Constant):
    @property
    def factor(self) -> float:
        return 0.5


@dataclass(frozen=True)
class Threshold(Set):
    """Pruning by a percentile that loses ties: too many or too few entries."""

    count: int

    def fit(self, x: Tensor) -> Code:
        smallest = x.abs().flatten().sort(descending=True).values[self.count - 1]
        return Dense(x * (x.abs() >= smallest))

    def violations(self, code: Code) -> list[str]:
        return Sparse(count=self.count).violations(code)


@dataclass(frozen=True)
class FromMaximum(Set):
    """Three levels whose scale is the largest magnitude, instead of the best one."""

    def fit(self, x: Tensor) -> Code:
        return Uniform(2, interval=float(x.abs().max().clamp_min(1e-38))).fit(x)

    def violations(self, code: Code) -> list[str]:
        return Uniform(2).violations(code)


def test_a_right_set_passes() -> None:
    check_set(Constant(), SHAPE)


@pytest.mark.parametrize(
    ("s", "message"),
    [
        (InPlace(), "fit changes its input"),
        (Flat(), r"shape \(4, 6\) becomes \(24,\)"),
        (Float64(), "type torch.float32 becomes torch.float64"),
        (NaNForZero(), "zero input.*NaN"),
        (Overflows(), "huge input, torch.float32.*NaN"),
        (Moody(), "twice gives two results"),
        (Refuses(), "violations rejects what fit gives: I do not like it"),
        (Shrinks(), "a point of the set is moved"),
        (Far(), "more than factor 1 times"),
        (BetterThanExact(), "no projection is better than exact"),
        (Threshold(5), "tied input.*entries kept, only 5"),
        (FromMaximum(), "more than factor 1 times"),
        (Sparse(), "is open"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_broken_sets_fail(s: Set, message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        check_set(s, SHAPE)


def test_inputs_of_ones_own_are_tried() -> None:
    check_set(Threshold(2), (3,), seeds=(), inputs=[torch.tensor([3.0, 1.0, 2.0])])
    with pytest.raises(AssertionError, match="input 0"):
        check_set(Threshold(2), (3,), seeds=(), inputs=[torch.tensor([1.0, 1.0, 1.0])])


def test_a_shape_that_does_not_fit_is_the_callers_mistake() -> None:
    with pytest.raises(SetError, match="cannot keep 50 of 24"):
        check_set(Sparse(count=50), SHAPE)
