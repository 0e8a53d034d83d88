"""What an allocation rule may judge a site by."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, eq=False)
class Evidence:
    """One site as it stands.

    Args:
        values: the tensor that is to be pruned; in ADMM this is W + U.
        squared_gradient: mean square of the loss gradient over the entries now kept, a running average;
            None before any gradient was seen.
        price: what one kept weight costs, in the unit of the budget.
    """

    values: Tensor
    squared_gradient: float | None = None
    price: float = 1.0

    @property
    def room(self) -> int:
        """The most that is worth keeping: the entries that are not zero, but at least one."""
        return max(1, int(self.values.count_nonzero()))

    def affordable(self, budget: float) -> int:
        """No fewer entries than the whole budget could buy here; the room, where that is less."""
        return min(self.room, int(budget / self.price) + 1)

    def largest(self, count: int) -> Tensor:
        """The `count` largest magnitudes (all, where there are fewer), falling."""
        flat = self.values.detach().flatten().abs()
        return flat.topk(min(count, flat.numel())).values
