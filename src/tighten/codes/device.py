"""Codes moved to where the weights are."""

from __future__ import annotations

from dataclasses import replace
from typing import assert_never, overload

import torch

from tighten.codes.dense import Dense
from tighten.codes.indexed import Indexed
from tighten.codes.sparse import Sparse


@overload
def to_device(code: Dense | Indexed, device: torch.device) -> Dense | Indexed: ...
@overload
def to_device(code: Sparse, device: torch.device) -> Sparse: ...
def to_device(code: Dense | Indexed | Sparse, device: torch.device) -> Dense | Indexed | Sparse:
    """The same code with its tensors on `device`."""
    match code:
        case Dense():
            return Dense(code.values.to(device))
        case Indexed():
            moved = (code.index.to(device), code.steps.to(device), code.scale.to(device), code.counts.to(device))
            return Indexed(*moved)
        case Sparse():
            return replace(code, grid=code.grid.to(device), inner=to_device(code.inner, device))
        case _:
            assert_never(code)
