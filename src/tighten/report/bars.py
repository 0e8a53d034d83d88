"""Bars of signs, for places where only text can be drawn."""

from __future__ import annotations

from collections.abc import Sequence

SIGNS = "█▓░"
"""Of the parts of a bar, in order."""
EMPTY = "·"


def bar(parts: Sequence[float], width: int) -> str:
    """A bar whose parts are so many hundredths of its width; what is not nothing has a sign, where there is room.

    Args:
        parts: lengths in percent, no more than 100 together and no more than there are signs.
        width: in signs.
    """
    drawn, end = "", 0.0
    for part, sign in zip(parts, SIGNS, strict=False):
        end += part * width / 100
        wanted = max(round(end) - len(drawn), int(part > 0))
        drawn += sign * min(wanted, width - len(drawn))
    return drawn.ljust(width, EMPTY)
