"""What an allocation rule may judge a site by."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor

from tighten.sets.counting import kth_largest
from tighten.sets.part import Part, total


@dataclass(frozen=True, eq=False)
class Evidence:
    """One site as it stands.

    Args:
        values: the tensor that is to be pruned; in ADMM this is W + U.
        squared_gradient: mean square of the loss gradient over the entries now kept, a running average;
            None before any gradient was seen.
        price: what one kept weight costs, in the unit of the budget.
        part: which part of the tensor `values` is, where processes share it. What is said of the site is then said
            of the whole tensor, and is the same in each of them.
    """

    values: Tensor
    squared_gradient: float | None = None
    price: float = 1.0
    part: Part | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the whole tensor."""
        return tuple(self.values.shape) if self.part is None else self.part.shape

    @property
    def size(self) -> int:
        """Entries of the whole tensor."""
        return math.prod(self.shape)

    @property
    def room(self) -> int:
        """The most that is worth keeping: the entries that are not zero, but at least one."""
        return max(1, int(total(self.part, self.values.count_nonzero())))

    def affordable(self, budget: float) -> int:
        """No fewer entries than the whole budget could buy here; the room, where that is less."""
        return min(self.room, int(budget / self.price) + 1)

    def largest(self, count: int) -> Tensor:
        """The `count` largest magnitudes (all, where there are fewer), falling.

        Of a tensor that processes share only these are gathered.
        """
        flat, count = self.values.detach().flatten().abs(), min(count, self.size)
        if self.part is not None:
            flat = self.part.parts.gathered(flat[flat >= kth_largest(flat, count, self.part)])
        return flat.topk(count).values
