"""The fold: constants move into biases, what nothing reads becomes zero, until nothing changes."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from tighten.errors import PlanError
from tighten.folding.facts import Known, constants, reads
from tighten.folding.layers import Layer, layers_of, tied_parameters
from tighten.folding.result import FoldedLayer, FoldedParameter, Folding
from tighten.folding.trace import trace
from tighten.suggest import nearest

_SAME = 1e-12
"""How much of its size a constant may differ between two places: rounding of float64, no more."""


@torch.no_grad()
def fold(
    model: nn.Module,
    example: Tensor | tuple[Tensor, ...],
    *,
    allowed: Collection[str] | None = None,
    only_zero: Collection[str] = (),
) -> Folding:
    """The model's dead neurons folded away in place: in eval mode it computes the same function with fewer weights.

    Definition, repeated until nothing changes:
    1. A neuron (output feature or channel) that no output of the model depends on: its weights and its bias become
       zero; in batch norm the factor and the shift.
    2. An input feature j of a linear or convolution layer that is the same constant whatever goes into the model, and
       adds the same amount at every place of the output: that amount goes into the bias, then W[:, j] becomes zero.
       With zero padding this holds only where the amount is 0. Without a bias too.
    So a neuron without incoming weights first hands its constant on, then is read by nothing, and loses its bias.

    What an operation does is known for linear and convolution layers without groups, batch norm, elementwise
    activations, dropout, pooling, sums, products and moves of entries (flatten, pad, slice, concatenate). Of any other
    one all inputs count as read and all outputs as unknown. Shared modules, tied parameters and modules with
    hooks are left alone. No zero weight ever becomes anything else.

    Exact: up to rounding of the biases, for inputs of the example's shape, any number of them, in eval mode. Shapes,
    names and modules of the model stay as they are; it is neither wrapped nor rewritten. If it cannot be traced it is
    not changed, and `reason` says why.

    Cost: a few forward and backward passes of the example in float64 on the CPU, and a copy of the model.

    Args:
        model: the network.
        example: what goes into it, with the batch axis; one input is enough. Only its shape matters.
        allowed: the parameters that may change; None for all. What would need another one is left alone.
        only_zero: parameters whose entries may become zero but take no other value, such as quantized biases.

    Raises:
        PlanError: the model does not take the example, or has no parameter of a given name.
    """
    parameters = dict(model.named_parameters())
    for name in [*(allowed or ()), *only_zero]:
        if name not in parameters:
            raise PlanError(f"'{name}' is no parameter of {type(model).__name__}{nearest(name, list(parameters))}")
    traced = trace(model, example if isinstance(example, tuple) else (example,))
    if isinstance(traced, str):
        return Folding(reason=traced)
    found = [_Found(layer) for layer in layers_of(traced, tied_parameters(model), allowed, only_zero)]
    before = {name: p.detach().clone() for name, p in traced.model.named_parameters()}
    changed = True
    while changed:
        known, read = constants(traced), reads(traced)
        for f in found:
            f.look(known[f.layer.node], read[f.layer.node])
        zeroed = [_zero_unread(f.layer, f.is_read) for f in found]
        moved = [_move_constants(f.layer, known[f.layer.node.all_input_nodes[0]]) for f in found if f.layer.mixes]
        changed = any(zeroed) or any(moved)
    return Folding(
        tuple(line for f in found if f.layer.mixes and (line := f.report()) is not None),
        tuple(_write_back(parameters, before, dict(traced.model.named_parameters()))),
        tuple(str(node.name) for node in traced.opaque),
    )


@dataclass(eq=False)
class _Found:
    """What was seen of the neurons of a layer so far."""

    layer: Layer
    constant: Tensor = field(init=False)
    unread: Tensor = field(init=False)
    is_read: Tensor = field(init=False)

    def __post_init__(self) -> None:
        self.constant = torch.zeros(len(self.layer.weight), dtype=torch.bool)
        self.unread = self.constant.clone()

    def look(self, known: Known, read: Tensor) -> None:
        is_constant = self.layer.each(known.unknown) == 0
        self.is_read = self.layer.each(read) > 0
        own = self.layer.weight.flatten(1).ne(0).any(1) if self.layer.mixes else self.layer.weight != 0
        if self.layer.bias is not None:
            own = own | (self.layer.bias != 0)
        self.unread |= ~is_constant & ~self.is_read
        self.constant |= is_constant & (self.is_read | own) & ~self.unread
        self.left = int((is_constant & self.is_read).sum())

    def report(self) -> FoldedLayer | None:
        constant, unread = int(self.constant.sum()), int(self.unread.sum())
        if not constant and not unread:
            return None
        return FoldedLayer(self.layer.name, len(self.constant), constant, unread, self.left)


def _zero_unread(layer: Layer, is_read: Tensor) -> bool:
    changed = False
    for parameter, free in ((layer.weight, layer.zeroes_weight), (layer.bias, layer.zeroes_bias)):
        if parameter is not None and free and bool(parameter[~is_read].any()):
            parameter[~is_read] = 0
            changed = True
    return changed


def _move_constants(layer: Layer, known: Known) -> bool:
    if not layer.zeroes_weight:
        return False
    is_known = layer.each(known.unknown) == 0
    is_used = layer.weight.movedim(1, 0).flatten(1).ne(0).any(1)
    moved = False
    for feature in (is_known & is_used).nonzero().flatten().tolist():
        amounts = _amounts(layer, known.value, feature)
        if amounts is None:
            continue
        if bool(amounts.any()):
            if layer.bias is None or not layer.shifts_bias:
                continue
            layer.bias.add_(amounts)
        layer.weight[:, feature] = 0
        moved = True
    return moved


def _amounts(layer: Layer, value: Tensor, feature: int) -> Tensor | None:
    """What a constant feature adds to each output; None where that differs from place to place."""
    places = layer.weighted(value, feature)
    size = (
        layer.weight[:, feature].abs().flatten(1).sum(1) if layer.weight.dim() > 2 else layer.weight[:, feature].abs()
    )
    largest = value.select(layer.axis, feature).abs().amax()
    same = places.amax(1) - places.amin(1) <= _SAME * size * largest
    return places[:, 0] if bool(same.all()) and bool(torch.isfinite(places).all()) else None


def _write_back(
    parameters: dict[str, nn.Parameter], before: dict[str, Tensor], after: dict[str, nn.Parameter]
) -> list[FoldedParameter]:
    """Every entry that changed, rounded once and written to the model."""
    written = []
    for name, parameter in parameters.items():
        where = after[name] != before[name]
        if not bool(where.any()):
            continue
        new = torch.where(where, after[name], before[name]).to(parameter.dtype)
        parameter[where.to(parameter.device)] = new[where].to(parameter.device)
        was, now = before[name] != 0, new != 0
        counts = (int((was & ~now).sum()), int((~was & now).sum()), int((where & was & now).sum()))
        written.append(FoldedParameter(name, parameter.dim() > 1, *counts))
    return written
