"""Sparse tensors whose kept entries are levels."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from tighten import codes
from tighten.codes import Code, Indexed, expand
from tighten.errors import SetError
from tighten.sets.base import Set
from tighten.sets.checks import usable
from tighten.sets.levels import LevelSet
from tighten.sets.part import Part, total
from tighten.sets.support import SupportSet, Units
from tighten.sets.top_k import top_k

ROUNDS = 30


@dataclass(frozen=True, repr=False)
class Intersection(Set):
    """Tensors that are zero outside a support and take a level on every entry of it: `Sparse(...) & Uniform(...)`.

    Definition: the support is allowed by `support`, the kept entries are in `levels`; the zeros outside need
    not be. Where units are single entries, a level zero inside the support is not used: such an entry is dropped.

    Projection: for one table of levels the best support is that with the largest sum of gains
    x^2 - (x - Q(x))^2, where Q is the nearest level. Hence exact for given tables. For a table with a fitted scale
    for all, the gain grows with |x|, so that for single entries the best support lies in the largest magnitudes,
    and fitting levels and zero to these is as exact as `levels` is. Else support and table are fitted in turn from
    several starts while that improves them.

    Source: Ye et al., arXiv 1903.09769 (pruning, then quantization of what is left).
    """

    support: SupportSet
    levels: LevelSet

    @classmethod
    def of(cls, a: object, b: object) -> Intersection:
        """The intersection of a support set and a level set, in either order.

        Raises:
            SetError: the two are something else.
        """
        if isinstance(a, SupportSet) and isinstance(b, LevelSet):
            return cls(a, b)
        if isinstance(b, SupportSet) and isinstance(a, LevelSet):
            return cls(b, a)
        raise SetError(
            f"{a!r} & {b!r} has no projection: one must say where entries are kept (such as Sparse), "
            f"the other which levels they take (such as Uniform)"
        )

    def __repr__(self) -> str:
        return f"{self.support!r} & {self.levels!r}"

    @property
    def is_open(self) -> bool:
        return self.support.is_open

    def with_count(self, count: int) -> Intersection:
        return replace(self, support=self.support.with_count(count))

    @property
    def factor(self) -> float:
        if self.levels.given or self._monotone:
            return self.levels.factor
        # With the support nearest to x and the levels nearest there: |x - h| <= d, |h - z| <= f * 2 d for the
        # distance d and the factor f of the levels, and the two differences are orthogonal. This needs zero among the
        # levels of a kept unit; where blocks have none, it is held by trials (at most 1.12 against brute force).
        return math.sqrt(1 + 4 * self.levels.factor**2)

    @property
    def _monotone(self) -> bool:
        return self.support.by_entry and self.levels.symmetric and not self.levels.per_channel

    def fit(self, x: Tensor, part: Part | None = None) -> codes.Sparse:
        x = usable(self, x, part)
        units = self.support.units_of(tuple(x.shape), x.device, part)
        shared = self.levels.shared(part)
        if self.levels.given:
            return self._on_best_support(x, units, self.levels.fit_entries(x.reshape(-1)))[0]
        gain = units.pool(x.double().square())
        supports = (expand(grid, units.unit) for grid in self._starts(gain, units))
        fitted = [self._on_best_support(x, units, self._table(x, support, shared)) for support in supports]
        code, fall = max(fitted, key=lambda pair: pair[1])
        for _ in range(0 if self._monotone else ROUNDS):
            next_code, next_fall = self._on_best_support(x, units, self._table(x, code.support, shared))
            if next_fall <= fall * (1 + 1e-9):
                break
            code, fall = next_code, next_fall
        return code

    def fit_on(self, support: codes.Sparse, x: Tensor, part: Part | None = None) -> codes.Sparse:
        """The nearest point with exactly this support, which is as exact as `levels` is.

        Args:
            support: of the tensor, in the set `support`; its values do not matter.
            x: as for `fit`.
            part: likewise.
        """
        x = usable(self, x, part)
        counts = self.levels.counts_of(support.support)
        inner = self.levels.fit_entries(x[support.support], counts, part=self.levels.shared(part))
        return replace(support, inner=inner)

    def _starts(self, gain: Tensor, units: Units) -> Iterator[Tensor]:
        grid = units.keep(gain)
        yield grid
        if self.levels.per_channel:  # a channel of which nothing is kept has no scale to be judged by
            yield torch.ones_like(grid)
        # Entries that must take a level hide the right table where too many units are kept at first.
        while not self.support.by_entry and (kept := int(total(units.apart, grid.sum()))) > 1:
            grid = top_k(gain.where(grid, 0.0), kept // 2, units.apart)
            yield grid

    def _table(self, x: Tensor, support: Tensor, shared: Part | None) -> Indexed:
        counts = self.levels.counts_of(support)
        return self.levels.fit_entries(x[support], counts, zero=self.support.by_entry, part=shared)

    def _on_best_support(self, x: Tensor, units: Units, table: Indexed) -> tuple[codes.Sparse, float]:
        """The best point with a given table, and how far the squared distance falls below sum x^2."""
        everywhere = torch.ones(x.shape, dtype=torch.bool, device=x.device)
        counts = self.levels.counts_of(everywhere)
        counts = torch.tensor([x.numel()], device=x.device) if counts is None else counts
        full = replace(table, index=torch.zeros(x.shape, dtype=torch.uint8, device=x.device), counts=counts).nearest(x)
        level = full.dense().double()
        gain = units.pool(level * (2 * x.double() - level))
        grid = units.keep(gain)
        support = expand(grid, units.unit)
        kept = self.levels.counts_of(support)
        kept = torch.tensor([int(support.sum())], device=x.device) if kept is None else kept
        inner = replace(full, index=full.index[support], counts=kept)
        if self.support.by_entry:
            inner = _without_zero(inner)
        return codes.Sparse(grid, units.unit, inner), float(total(units.apart, gain[grid].sum()))

    def violations(self, code: Code, part: Part | None = None) -> list[str]:
        if isinstance(code, codes.Sparse):
            inside = self.levels.inner_violations(code.inner, code.support)
        else:
            inside = self.levels.violations(code)
        return self.support.violations(code, part) + inside


def _without_zero(inner: Indexed) -> Indexed:
    """The same entries, none of which is on the level zero, without that level."""
    used = inner.steps != 0
    if bool(used.all()) or not bool(used.any()):
        return inner
    place = used.cumsum(0) - 1
    return replace(inner, index=place[inner.index.long()].to(inner.index.dtype), steps=inner.steps[used])
