"""Levels that are free, as one table for the tensor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from tighten.codes import Indexed
from tighten.errors import SetError
from tighten.sets.checks import number, whole
from tighten.sets.kmeans import best_table
from tighten.sets.levels import LevelSet
from tighten.sets.part import Part


@dataclass(frozen=True, repr=False)
class Codebook(LevelSet):
    """Tensors with a limited number of different values.

    Definition: entries from a table of at most 2^bits or `levels` values, which are fitted, or from `values`.
    Projection: exact for given values and for at most 1024 different entries; beyond that see `factor`.
    Shape: any.
    Cost: a sort, and levels * 1024^2 operations.
    Source: Han et al., "Deep Compression", arXiv 1510.00149, section 3 (k-means, by Lloyd's alternation there);
    exact k-means: Wang and Song, "Ckmeans.1d.dp", The R Journal 3/2 (2011).

    Args:
        bits: 1 to 8; one of the three is given.
        levels: 1 to 256.
        values: 1 to 256 different numbers.
    """

    bits: int | None = None
    levels: int | None = None
    values: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        if sum(given is not None for given in (self.bits, self.levels, self.values)) != 1:
            raise SetError(f"{self!r} needs one of bits, levels and values: write Codebook(bits=3)")
        if self.bits is not None:
            whole(self, "bits", self.bits, 1, 8)
        if self.levels is not None:
            whole(self, "levels", self.levels, 1, 256)
        if self.values is not None:
            self._check_values(self.values)

    def _check_values(self, values: object) -> None:
        if not isinstance(values, tuple) or not 1 <= len(values) <= 256:
            raise SetError(f"values={values!r} in {self!r}: give a tuple of 1 to 256 numbers")
        for value in values:
            number(self, "values", value)
        if len(set(values)) < len(values):
            raise SetError(f"values={values!r} in {self!r}: give each number once")

    @property
    def given(self) -> bool:
        return self.values is not None

    @property
    def factor(self) -> float:
        if self.given:
            return 1.0
        return 1.01 if self.most <= 64 else 1.5  # measured on normal, heavy-tailed and clustered draws

    @property
    def most(self) -> int:
        """The most levels that a table may have."""
        if self.values is not None:
            return len(self.values)
        return self.levels if self.levels is not None else 2 ** (self.bits or 0)

    def fit_entries(
        self, x: Tensor, counts: Tensor | None = None, zero: bool = False, part: Part | None = None
    ) -> Indexed:
        if part is not None and self.values is None:
            raise SetError(
                f"{self!r} fits its table to all entries at once, and processes share a tensor of shape {part.shape}: "
                f"use Uniform, PowerOfTwo or given values, or keep the layer in one piece (leave it out of fully_shard)"
            )
        if self.values is not None:
            table = torch.tensor(sorted({*self.values, 0.0} if zero else self.values), dtype=torch.float64)
        else:
            table = best_table(x.double(), self.most, zero)
        # Values that differ only beyond the precision of `x` become one; an empty vector still needs a level.
        steps = table.to(x).unique() if len(table) else x.new_zeros(1)
        if not bool(torch.isfinite(steps).all()):
            raise SetError(f"the values of {self!r} are too large for {x.dtype}: use smaller ones")
        return Indexed(
            index=torch.zeros(x.shape, dtype=torch.uint8, device=x.device),
            steps=steps,
            scale=x.new_ones(1),
            counts=torch.tensor([x.numel()], device=x.device),
        ).nearest(x)

    def table_violations(self, steps: Sequence[float], scale: Tensor) -> list[str]:
        wrong = []
        if bool((scale != 1).any()):
            wrong.append(f"scale {float(scale[0])}, but the values of {self!r} have none")
        if self.values is not None:
            # A code holds the values in its own type: compare them there.
            allowed = set(scale.new_tensor(self.values).double().tolist())
            wrong += [f"level {step} is not of {self!r}" for step in steps if step not in allowed]
        elif len(set(steps)) > self.most:
            wrong.append(f"{len(set(steps))} levels, at most {self.most} allowed by {self!r}")
        return wrong
