"""torchvision, also beside a PyTorch build that its compiled operators do not fit.

The torchvision of the package index is compiled against PyTorch for CUDA. Beside a CPU-only PyTorch
its operator library does not load, and `import torchvision` stops at the first operator that it wants
to describe: "operator torchvision::nms does not exist". Nothing that reads data sets, builds models or
transforms pictures calls those operators, so it is enough that they are declared. A torchvision that
works is left as it is.
"""

from __future__ import annotations

import importlib
import sys
from functools import cache
from types import ModuleType

import torch

from tighten.errors import DataError

SCHEMAS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)


@cache
def import_torchvision() -> ModuleType:
    """The module `torchvision`, with its missing operators declared where it would not import without.

    Raises:
        DataError: torchvision is not installed.
    """
    try:
        return importlib.import_module("torchvision")
    except ModuleNotFoundError as error:
        if error.name != "torchvision":
            raise
        raise DataError(
            "this data set is read through torchvision, which is not installed: pip install 'tighten[vision]'"
        ) from error
    except RuntimeError as error:
        if "operator torchvision::" not in str(error):
            raise
    _declare_operators()
    # What the failed import left behind would be taken for a finished module.
    for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
        del sys.modules[name]
    return importlib.import_module("torchvision")


@cache  # keeps the library alive: its operators vanish with it
def _declare_operators() -> torch.library.Library:
    library = torch.library.Library("torchvision", "DEF")
    for schema in SCHEMAS:
        library.define(schema)
    return library
