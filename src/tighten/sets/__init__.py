"""Constraint sets, one per file: pure mathematics, no modules and no training."""

from tighten.sets.base import Set
from tighten.sets.binary import Binary
from tighten.sets.block import BlockSparse
from tighten.sets.channels import ChannelSparse
from tighten.sets.codebook import Codebook
from tighten.sets.filters import FilterSparse
from tighten.sets.intersection import Intersection
from tighten.sets.levels import LevelSet
from tighten.sets.nm import NMSparse
from tighten.sets.plain import from_data, to_data
from tighten.sets.power_of_two import PowerOfTwo
from tighten.sets.sparse import Sparse
from tighten.sets.support import SupportSet
from tighten.sets.ternary import Ternary
from tighten.sets.uniform import Uniform

__all__ = [
    "Binary",
    "BlockSparse",
    "ChannelSparse",
    "Codebook",
    "FilterSparse",
    "Intersection",
    "LevelSet",
    "NMSparse",
    "PowerOfTwo",
    "Set",
    "Sparse",
    "SupportSet",
    "Ternary",
    "Uniform",
    "from_data",
    "to_data",
]
