"""The built-in trainer: a recipe becomes a run folder with a `.tight` file."""

from tighten.engine.evaluate import accuracy
from tighten.engine.events import Epoch, Listener
from tighten.engine.run import Result, run

__all__ = ["Epoch", "Listener", "Result", "accuracy", "run"]
