"""A recipe for somebody's own model, written after looking at it."""

from tighten.starting.look import Layer, Look, look
from tighten.starting.write import Written, write

__all__ = ["Layer", "Look", "Written", "look", "write"]
