"""Sets that say which values entries may take, and nothing about where they are zero."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor

from tighten import codes
from tighten.codes import Code, Indexed
from tighten.errors import SetError
from tighten.sets.base import Set
from tighten.sets.checks import usable
from tighten.sets.part import Part


class LevelSet(Set):
    """Tensors whose entries are taken from a small table, which is given or fitted.

    A subclass fits the table to a flat vector and judges tables.
    """

    per_channel: bool = False
    """Whether each output (axis 0) has its own scale."""
    symmetric: ClassVar[bool] = False
    """Whether with each level its negative is a level, so that a larger magnitude always gains more."""

    @property
    def given(self) -> bool:
        """Whether the table does not depend on the tensor."""
        return False

    @property
    def scalable(self) -> bool:
        """Whether a table of this set is still one under any other positive scale."""
        return False

    @abstractmethod
    def fit_entries(
        self, x: Tensor, counts: Tensor | None = None, zero: bool = False, part: Part | None = None
    ) -> Indexed:
        """The nearest vector of levels.

        Args:
            x: one-dimensional, finite; may be empty.
            counts: run lengths, where each run of entries has its own scale; None for one scale.
            zero: whether entries may also be zero although it is no level. A support that works entry by entry asks
                for this: it drops such entries.
            part: over which parts one table is fitted to all entries; None where `x` is all there is.
        """

    @abstractmethod
    def table_violations(self, steps: Sequence[float], scale: Tensor) -> list[str]:
        """Why this table is not one of the set; empty where it is.

        Args:
            steps: the levels in use before scaling, all finite.
            scale: one factor per run, all finite and not negative.
        """

    def fit(self, x: Tensor, part: Part | None = None) -> Indexed:
        x = usable(self, x, part)
        everything = torch.ones(x.shape, dtype=torch.bool, device=x.device)
        code = self.fit_entries(x.reshape(-1), self.counts_of(everything), part=self.shared(part))
        return Indexed(code.index.view(x.shape), code.steps, code.scale, code.counts)

    def shared(self, part: Part | None) -> Part | None:
        """Over which parts the table has to be fitted; None where each process can do so by itself.

        Raises:
            SetError: a scale per channel, and channels that are cut in two.
        """
        if part is None or not self.per_channel:
            return part
        if part.cut != {0}:
            raise SetError(
                f"{self!r} cannot work on a tensor of shape {part.shape} that processes share along axis "
                f"{max(part.cut)}: its channels are cut in two; shard along axis 0, or use one scale for all"
            )
        return None

    def counts_of(self, support: Tensor) -> Tensor | None:
        """The entries of a support that share a scale, run by run; None where all share one.

        Raises:
            SetError: a scale per channel, but only one axis.
        """
        if not self.per_channel:
            return None
        if support.ndim < 2:
            raise SetError(f"{self!r} needs at least two axes, not shape {tuple(support.shape)}: use one scale for all")
        return support.flatten(1).sum(1)

    def violations(self, code: Code, part: Part | None = None) -> list[str]:
        match code:
            case Indexed():
                everything = torch.ones(code.shape, dtype=torch.bool, device=code.index.device)
                return self.inner_violations(code, everything)
            case codes.Sparse(inner=Indexed()) if not bool(code.grid.all()):
                return self.inner_violations(code.inner, code.support, [0.0])
            case codes.Sparse():
                return self.inner_violations(code.inner, code.support)
        return self.inner_violations(code, torch.ones(code.shape, dtype=torch.bool))

    def inner_violations(
        self, inner: codes.Dense | Indexed, support: Tensor, beside: Sequence[float] = ()
    ) -> list[str]:
        """Why the entries of a support are not levels of this set; empty where they are.

        Args:
            inner: the entries.
            support: where they are.
            beside: levels in use that are not in the table of `inner`.
        """
        if not isinstance(inner, Indexed):
            return [f"values stored one by one, not as levels of {self!r}"]
        n = inner.index.numel()
        try:
            runs = self.counts_of(support)
        except SetError as error:
            return [str(error)]
        counts = [n] if runs is None else runs.tolist()
        if inner.counts.tolist() != counts or len(inner.scale) != len(counts) or sum(counts) != n:
            return [f"{len(inner.scale)} scales for {n} entries are not as {self!r} shares them"]
        if n and not 0 <= int(inner.index.min()) <= int(inner.index.max()) < len(inner.steps):
            return [f"indices that are not in the table of {len(inner.steps)} levels"]
        steps, scale = inner.steps.double(), inner.scale.double()
        if not bool(torch.isfinite(steps).all() and torch.isfinite(scale).all()):
            return ["NaN or infinite levels"]
        if bool((scale < 0).any()):
            return [f"negative scale {float(scale.min())}"]
        return self.table_violations([*steps.tolist(), *beside], inner.scale)
