"""How weights are drawn into their sets."""

from tighten.methods.admm import Admm
from tighten.methods.base import Method, Problem, State
from tighten.methods.exchange import Exchange
from tighten.methods.feedback import Feedback
from tighten.methods.freeze import Freeze
from tighten.methods.masked import Masked
from tighten.methods.straight_through import StraightThrough

__all__ = ["Admm", "Exchange", "Feedback", "Freeze", "Masked", "Method", "Problem", "State", "StraightThrough"]
