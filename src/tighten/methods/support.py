"""The point Z of a pruned site, which is V where it is not zero."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from tighten.codes import Code, Dense, Sparse, expand


@dataclass(frozen=True, eq=False)
class Support:
    """Where Z is not zero. There U is zero and Z = V, so that its values need no place of their own.

    Args:
        grid: bool tensor, one entry per unit: is it kept?
        unit: shape of one unit.
    """

    grid: Tensor
    unit: tuple[int, ...]

    @classmethod
    def of(cls, code: Code) -> Support | None:
        """That of a pruned site whose values are free; None for other codes."""
        return cls(code.grid, code.unit) if isinstance(code, Sparse) and isinstance(code.inner, Dense) else None

    def code(self, v: Tensor) -> Sparse:
        """Z, out of V."""
        return Sparse(self.grid, self.unit, Dense(v[expand(self.grid, self.unit)]))
