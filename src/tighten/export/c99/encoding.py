"""The shortest of the ways to write a matrix of weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from tighten.export.c99.tables import Packed, as_bytes, gaps
from tighten.export.c99.weights import Weights

_WORTH = 1.5
"""How many times the bytes it may take to write all entries: then none has to be looked for."""


@dataclass(frozen=True, eq=False)
class Encoded:
    """A matrix as tables.

    Args:
        form: kept entries found by the gaps between them; by one bit for each entry; or all entries, zeros too.
        values: row by row.
        positions: the gaps or the bits.
        scale: `[outputs]`, or None where `values` are the weights themselves.
    """

    form: Literal["gaps", "bits", "all"]
    values: Packed
    positions: list[int]
    scale: Tensor | None

    @classmethod
    def of(cls, weights: Weights, *, by_input: bool = False) -> Encoded:
        """The shortest form; one without positions where that is not much longer, because it is faster.

        Args:
            weights: the matrix.
            by_input: whether a form without positions lists column by column.
        """
        candidates: list[tuple[Tensor, Tensor | None]] = [(weights.product(), None)]
        if len(weights.scale.unique()) > 1:
            candidates.append((weights.base, weights.scale.float()))
        found = [form for matrix, scale in candidates for form in _forms(cls, matrix, scale, by_input)]
        shortest = min(found, key=lambda form: form.bytes)
        full = min((form for form in found if form.form == "all"), key=lambda form: form.bytes)
        return full if full.bytes <= _WORTH * shortest.bytes else shortest

    @property
    def bytes(self) -> int:
        """Bytes of all tables."""
        return self.values.bytes + len(self.positions) + (0 if self.scale is None else 4 * len(self.scale))

    def __str__(self) -> str:
        how = {"gaps": "gaps", "bits": "a bit for each place", "all": "all of them"}[self.form]
        what = "float32" if self.values.index is None else f"{self.values.bits} bits"
        return f"{what}, {how}"


def _forms(cls: type[Encoded], matrix: Tensor, scale: Tensor | None, by_input: bool) -> list[Encoded]:
    kept = matrix != 0
    values = Packed.of(matrix[kept])
    everything = Packed.of((matrix.T if by_input else matrix).reshape(-1))
    return [
        cls("gaps", values, gaps(kept), scale),
        cls("bits", values, as_bytes(kept.reshape(-1)), scale),
        cls("all", everything, [], scale),
    ]
