"""How weights are drawn into their sets."""

from tighten.methods.admm import Admm
from tighten.methods.base import Method, Problem, State
from tighten.methods.freeze import Freeze
from tighten.methods.masked import Masked

__all__ = ["Admm", "Freeze", "Masked", "Method", "Problem", "State"]
