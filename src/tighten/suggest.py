"""The nearest valid name, for messages about a wrong one."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def nearest(name: str, valid: Iterable[str]) -> str:
    """`; did you mean '...'?` where a valid name is near, else nothing."""
    found = difflib.get_close_matches(name, list(valid), n=1, cutoff=0.4)
    return f"; did you mean '{found[0]}'?" if found else ""
