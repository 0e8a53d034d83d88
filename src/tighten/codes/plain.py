"""Codes as plain data for checkpoints: dictionaries of tensors, lists and strings only."""

from __future__ import annotations

from typing import Any, assert_never

from tighten.codes.dense import Dense
from tighten.codes.indexed import Indexed
from tighten.codes.sparse import Sparse


def to_plain(code: Dense | Indexed | Sparse) -> dict[str, Any]:
    """The code as a dictionary that `torch.save` stores and `torch.load(weights_only=True)` accepts."""
    match code:
        case Dense():
            return {"form": "dense", "values": code.values}
        case Indexed():
            fields = {"index": code.index, "steps": code.steps, "scale": code.scale, "counts": code.counts}
            return {"form": "indexed", **fields}
        case Sparse():
            return {"form": "sparse", "grid": code.grid, "unit": list(code.unit), "inner": to_plain(code.inner)}
        case _:
            assert_never(code)


def from_plain(data: dict[str, Any]) -> Dense | Indexed | Sparse:
    """The code that `to_plain` wrote."""
    if data["form"] == "dense":
        return Dense(data["values"])
    if data["form"] == "indexed":
        return Indexed(data["index"], data["steps"], data["scale"], data["counts"])
    inner = from_plain(data["inner"])
    assert not isinstance(inner, Sparse)
    return Sparse(data["grid"], tuple(data["unit"]), inner)
