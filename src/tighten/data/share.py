"""Batches cut among processes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Share:
    """What one of several processes takes of each batch: examples that lie side by side.

    The shares of a batch differ by one example at most, and are the whole batch together.

    Args:
        index: of the process, from zero.
        of: how many there are.
    """

    index: int = 0
    of: int = 1

    def of_batch(self, size: int) -> slice:
        """The places in a batch of so many examples; none where there are more processes than examples."""
        return slice(self.index * size // self.of, (self.index + 1) * size // self.of)


ALL = Share()
