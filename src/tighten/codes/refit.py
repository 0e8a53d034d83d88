"""The nearest tensor of the same form: same support, same tables; as a code, or as it stands."""

from __future__ import annotations

from dataclasses import replace
from typing import assert_never, overload

import torch
from torch import Tensor

from tighten.codes.dense import Dense
from tighten.codes.indexed import Indexed
from tighten.codes.sparse import Sparse


@overload
def refit(code: Dense, x: Tensor) -> Dense: ...
@overload
def refit(code: Indexed, x: Tensor) -> Indexed: ...
@overload
def refit(code: Sparse, x: Tensor) -> Sparse: ...
@overload
def refit(code: Dense | Indexed, x: Tensor) -> Dense | Indexed: ...
def refit(code: Dense | Indexed | Sparse, x: Tensor) -> Dense | Indexed | Sparse:
    """The code nearest to `x` that shares the support and the tables of `code`.

    Args:
        code: the form to keep.
        x: tensor of the code's shape.
    """
    match code:
        case Dense():
            return Dense(x.clone())
        case Indexed():
            return code.nearest(x)
        case Sparse():
            return replace(code, inner=refit(code.inner, x[code.support]))
        case _:
            assert_never(code)


def snap(code: Dense | Indexed | Sparse, x: Tensor, out: Tensor | None = None) -> Tensor:
    """`refit(code, x).dense()` in a fraction of the time: entries halfway between two levels may fall to either.

    Args:
        code: the form to keep.
        x: tensor of the code's shape.
        out: where to write it; of the same shape, in a layout of its own.
    """
    out = torch.empty_like(x) if out is None else out
    match code:
        case Dense():
            return out.copy_(x)
        case Indexed():
            return code.snap(x, out)
        case Sparse():
            kept = x.take(code.places)
            return out.zero_().put_(code.places, snap(code.inner, kept, torch.empty_like(kept)))
        case _:
            assert_never(code)
