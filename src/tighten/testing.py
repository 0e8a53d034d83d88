"""Contract checks for sets, also for those written elsewhere."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor

from tighten.codes import Code
from tighten.sets import Set

ROUNDING = 1e-5
"""What may be lost to rounding, as a part of the norm of the input; levels are products in the input's type."""


def check_set(
    s: Set,
    shape: tuple[int, ...],
    *,
    seeds: Iterable[int] = range(3),
    dtypes: Iterable[torch.dtype] = (torch.float32, torch.float64),
    inputs: Iterable[Tensor] = (),
) -> None:
    """Nothing, where a set keeps the contract of `tighten.sets.Set` on tensors of a shape.

    Checked for normal, heavy-tailed, tied, constant, zero, tiny and huge inputs: `fit` changes nothing, gives the
    same twice, and gives finite values of the input's shape and type which `violations` accepts; a point of
    the set is projected on itself; and no other point that a search finds is nearer than `factor` allows. The
    search projects other tensors, so it finds many wrong projections but proves none right: hold a new
    set to a brute-force oracle on small tensors as well.

    A set of one's own, here the tensors whose entries are all equal, and its test:

        @dataclass(frozen=True)
        class Constant(Set):
            def fit(self, x):
                index = torch.zeros(x.shape, dtype=torch.uint8)
                return Indexed(index, x.new_ones(1), x.mean()[None], torch.tensor([x.numel()]))

            def violations(self, code):
                return [] if len(code.dense().unique()) == 1 else ["entries that differ"]

        def test_constant():
            check_set(Constant(), (4, 6))

    Args:
        s: the set; an open one must be closed first, with `with_count`.
        shape: the shape of the tensors that are tried.
        seeds: one round of random inputs for each.
        dtypes: the types of these.
        inputs: more tensors to try, as they are.

    Raises:
        AssertionError: the contract is broken; the message says where and how.
    """
    if s.is_open:
        raise AssertionError(f"{s!r} is open: check s.with_count(...) instead")
    if not s.factor >= 1:
        raise AssertionError(f"factor of {s!r} is {s.factor}: no projection is better than exact, give 1 or more")
    for seed in seeds:
        generator = torch.Generator().manual_seed(seed)
        for dtype in dtypes:
            for name, x in _inputs(shape, generator):
                _check_input(s, x.to(dtype), f"{name} input, {dtype}, seed {seed}", generator)
    for number, x in enumerate(inputs):
        _check_input(s, x, f"input {number}", torch.Generator().manual_seed(number))


def _inputs(shape: tuple[int, ...], generator: torch.Generator) -> Iterator[tuple[str, Tensor]]:
    normal = torch.randn(shape, generator=generator, dtype=torch.float64)
    yield "normal", normal
    yield "heavy-tailed", normal**3
    yield "tied", normal.mul(1.5).round()
    yield "mostly zero", normal * (torch.rand(shape, generator=generator) < 0.2)
    yield "constant", torch.full(shape, -0.3, dtype=torch.float64)
    yield "zero", torch.zeros(shape, dtype=torch.float64)
    yield "tiny", normal * 1e-30
    yield "huge", normal * 1e30


def _check_input(s: Set, x: Tensor, where: str, generator: torch.Generator) -> None:
    before = x.clone()
    code = s.fit(x)
    z = code.dense()
    _expect(torch.equal(x, before), s, where, "fit changes its input: work on a copy")
    _expect(code.shape == tuple(x.shape), s, where, f"shape {tuple(x.shape)} becomes {code.shape}")
    _expect(tuple(z.shape) == tuple(x.shape), s, where, f"dense() has shape {tuple(z.shape)}, not {tuple(x.shape)}")
    _expect(z.dtype == x.dtype, s, where, f"type {x.dtype} becomes {z.dtype}")
    _expect(bool(torch.isfinite(z).all()), s, where, "the projection has NaN or infinite entries")
    _expect(torch.equal(s.fit(x).dense(), z), s, where, "fitting the same tensor twice gives two results")
    _expect_member(s, code, where)
    again = s.fit(z)
    _expect_member(s, again, f"{where}, projected twice")
    _expect(
        _distance(again.dense(), z) <= ROUNDING * _norm(z),
        s,
        where,
        f"a point of the set is moved by {_distance(again.dense(), z):.3g} when it is projected (its norm: "
        f"{_norm(z):.3g})",
    )
    reached = _distance(z, x)
    for other, point in _other_points(s, x, z, generator):
        bound = s.factor * _distance(point, x)
        _expect(
            reached <= bound * (1 + ROUNDING) + ROUNDING * _norm(x),
            s,
            where,
            f"the projection is {reached:.6g} away, more than factor {s.factor:.4g} times the "
            f"{_distance(point, x):.6g} of {other}",
        )


def _other_points(s: Set, x: Tensor, z: Tensor, generator: torch.Generator) -> Iterator[tuple[str, Tensor]]:
    """Points of the set that could be nearer to `x`: what tensors around `x` and around its projection go to."""
    scale = x.double().abs().max()
    for amount in (0.01, 0.1, 0.3, 1.0):
        noise = torch.randn(x.shape, generator=generator, dtype=torch.float64) * (amount * scale)
        for name, center in (("the input", x), ("its projection", z)):
            point = (center.double() + noise).to(x.dtype)
            yield f"the projection of {name} with noise {amount}", s.fit(point).dense()
    for stretch in (0.5, 0.8, 1.25, 2.0):
        power = x.double().sign() * (x.double().abs() / scale.clamp_min(1e-300)).pow(stretch) * scale
        yield f"the projection of the input to the power {stretch}", s.fit(power.to(x.dtype)).dense()


def _expect_member(s: Set, code: Code, where: str) -> None:
    wrong = s.violations(code)
    _expect(not wrong, s, where, f"violations rejects what fit gives: {'; '.join(wrong)}")


def _expect(holds: bool, s: Set, where: str, fact: str) -> None:
    if not holds:
        raise AssertionError(f"{s!r}, {where}: {fact}")


def _norm(x: Tensor) -> float:
    return float(x.double().norm())


def _distance(a: Tensor, b: Tensor) -> float:
    return _norm(a.double() - b.double())
