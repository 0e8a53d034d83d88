"""What every constraint set is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import fields, is_dataclass
from html import escape
from typing import TYPE_CHECKING, Any, Self

from torch import Tensor

from tighten.codes import Code
from tighten.sets.part import Part

if TYPE_CHECKING:
    from tighten.sets.intersection import Intersection


class Set(ABC):
    """A closed set of tensors, such as "at most 100 entries are not zero".

    Subclasses are frozen dataclasses of plain numbers (`repr=False` keeps the short `repr` from here). The one
    verb is `fit`; the rest follows.
    """

    @abstractmethod
    def fit(self, x: Tensor, part: Part | None = None) -> Code:
        """The point of the set nearest to `x` (see `factor`), as a code.

        Args:
            x: floating-point tensor with finite entries.
            part: which part of a larger tensor `x` is, where processes share one; the code is then that of the same
                part of the point nearest to the whole. A set that is only used in one process may leave it out.

        Raises:
            SetError: the set has no point of this shape, `x` is not finite, or the parts cut what belongs together.
        """

    @abstractmethod
    def violations(self, code: Code, part: Part | None = None) -> list[str]:
        """Why the tensor that `code` describes is not in the set; empty where it is.

        Says the facts (such as "7 entries kept, at most 5 allowed"), read off the code itself; `part` is that of `fit`.
        """

    @property
    def factor(self) -> float:
        """How far from exact the projection may be: |x - project(x)| <= factor * dist(x, set)."""
        return 1.0

    @property
    def is_open(self) -> bool:
        """Whether the count of kept entries is still to be set by a budget."""
        return False

    def with_count(self, count: int) -> Self:
        """The same set, its open count filled in."""
        return self

    def project(self, x: Tensor) -> Tensor:
        """The Euclidean projection of `x` on the set."""
        return self.fit(x).dense()

    def settings(self) -> dict[str, Any]:
        """The fields of the dataclass that differ from their defaults."""
        if not is_dataclass(self):
            return {}
        every = {field.name: (getattr(self, field.name), field.default) for field in fields(self)}
        return {name: value for name, (value, default) in every.items() if value != default}

    def __repr__(self) -> str:
        inside = ", ".join(f"{name}={value!r}" for name, value in self.settings().items())
        return f"{type(self).__name__}({inside})"

    def _repr_html_(self) -> str:
        says = (type(self).__doc__ or "").strip().partition("\n")[0]
        return f"<code>{escape(repr(self))}</code> {escape(says)}"

    def __and__(self, other: Set) -> Intersection:
        from tighten.sets.intersection import Intersection

        return Intersection.of(self, other)
