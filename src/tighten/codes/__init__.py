"""The narrow waist: exact descriptions of tensors, as pure data.

Sets produce codes; codecs and exporters read them. The family is closed: a new form of code touches
every codec and exporter on purpose.
"""

from typing import TypeAlias

from tighten.codes.dense import Dense
from tighten.codes.device import to_device
from tighten.codes.indexed import Indexed
from tighten.codes.plain import from_plain, to_plain
from tighten.codes.refit import refit, snap
from tighten.codes.sparse import Sparse, expand
from tighten.codes.thin import thinned

Code: TypeAlias = Dense | Indexed | Sparse

__all__ = [
    "Code",
    "Dense",
    "Indexed",
    "Sparse",
    "expand",
    "from_plain",
    "refit",
    "snap",
    "thinned",
    "to_device",
    "to_plain",
]
