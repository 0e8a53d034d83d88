"""What all kernels have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

from tighten.export.c99.function import Function
from tighten.export.c99.operations import View

Where = Callable[[View], str]
"""The address of what a view starts with."""


class Kernel(ABC):
    """One way to compute an operation."""

    scratch: int = 0
    """Floats that it needs while it is at work."""

    said: str = ""
    """What there is to say of its weights."""

    @abstractmethod
    def write(self, function: Function, where: Where) -> None:
        """The body, and the parameters beside `in`, `out` and, where there is scratch, `own`."""
