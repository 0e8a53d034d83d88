"""The state of a method as plain data, the same however many processes share the tensors."""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from dataclasses import fields
from typing import Any

from torch import Tensor

from tighten.codes import from_plain, to_device, to_plain
from tighten.joined import joined, joined_code, joined_grid, own, own_code, own_grid
from tighten.methods.base import State
from tighten.methods.support import Support
from tighten.sets import Set
from tighten.sets.part import Part

TENSORS = ("targets", "fixed", "gradient_sums", "gradient_squares", "latents")
"""The fields of a state that hold a tensor of each site."""


def written(state: State, sets: Mapping[str, Set], parts: Mapping[str, Part]) -> dict[str, Any]:
    """The state with whole tensors, as `torch.save` stores and `torch.load(weights_only=True)` accepts it.

    Args:
        state: of the parts that are here.
        sets: of the stage's sites.
        parts: which those are.
    """
    plain = {field.name: copy(getattr(state, field.name)) for field in fields(state)}
    plain["codes"] = {n: to_plain(joined_code(code, sets[n], parts.get(n))) for n, code in state.codes.items()}
    grids = {n: joined_grid(s.grid, s.unit, sets[n], parts.get(n)) for n, s in state.supports.items()}
    plain["supports"] = {name: {"grid": grid, "unit": list(unit)} for name, (grid, unit) in grids.items()}
    for kind in TENSORS:
        plain[kind] = {name: joined(tensor, parts.get(name)) for name, tensor in plain[kind].items()}
    return plain


def read(
    plain: Mapping[str, Any], sets: Mapping[str, Set], parts: Mapping[str, Part], weights: Mapping[str, Tensor]
) -> State:
    """What `written` wrote, as far as it is here.

    Args:
        plain: the plain data.
        sets: of the stage's sites.
        parts: which parts of them are here.
        weights: the parts themselves.
    """

    def here(name: str, tensor: Tensor) -> Tensor:
        return own(tensor.to(weights[name].device), parts.get(name), tuple(weights[name].shape))

    codes, supports = {}, {}
    for name, data in plain["codes"].items():
        code = to_device(from_plain(data), weights[name].device)
        codes[name] = own_code(code, sets[name], parts.get(name), tuple(weights[name].shape))
    for name, data in plain.get("supports", {}).items():
        grid, shape = data["grid"].to(weights[name].device), tuple(weights[name].shape)
        supports[name] = Support(*own_grid(grid, tuple(data["unit"]), sets[name], parts.get(name), shape))
    # Older checkpoints lack what came later.
    tensors = {kind: {name: here(name, t) for name, t in plain.get(kind, {}).items()} for kind in TENSORS}
    scales = {
        kind: {name: t.to(weights[name].device) for name, t in plain.get(kind, {}).items()}
        for kind in ("scale_gradients", "scale_moments", "usual")
    }
    return State(**{**plain, "codes": codes, "supports": supports, **scales, **tensors})
