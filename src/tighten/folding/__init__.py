"""Dead neurons, found and folded away: the same function with fewer weights."""

from tighten.folding.fixed_point import fold
from tighten.folding.result import FoldedLayer, FoldedParameter, Folding

__all__ = ["FoldedLayer", "FoldedParameter", "Folding", "fold"]
