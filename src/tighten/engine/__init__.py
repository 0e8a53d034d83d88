"""The built-in trainer: a recipe becomes a run folder with a `.tight` file."""

from tighten.engine.allocate import allocate
from tighten.engine.evaluate import accuracy
from tighten.engine.events import Epoch, Listener, Listeners
from tighten.engine.run import Result, run
from tighten.engine.shrink import shrink
from tighten.engine.tensorboard import TensorBoard
from tighten.engine.way import Walked, Way

__all__ = [
    "Epoch",
    "Listener",
    "Listeners",
    "Result",
    "TensorBoard",
    "Walked",
    "Way",
    "accuracy",
    "allocate",
    "run",
    "shrink",
]
