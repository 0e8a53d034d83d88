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
    """

    values: Tensor
    squared_gradient: float | None = None

    def largest(self, count: int) -> Tensor:
        """The `count` largest magnitudes (all, where there are fewer), falling."""
        flat = self.values.detach().flatten().abs()
        return flat.topk(min(count, flat.numel())).values
