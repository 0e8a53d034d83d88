"""The removal itself: fold, find what is unread, take it out, and prove that nothing changed."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from tighten.compact.coupling import Couplings
from tighten.compact.proof import difference, inputs_like, open_paths
from tighten.compact.result import Compact, CompactLayer
from tighten.compact.selection import Removal, removals, together
from tighten.compact.slicing import fill, named_tensors, sliced
from tighten.compact.unread import unread
from tighten.errors import PlanError
from tighten.folding import Folding, fold
from tighten.macs import macs_per_weight

_SAME = 1e-9
"""How far two float64 networks that are the same may be apart: rounding, since only the order of sums differs."""


def compact(model: nn.Module, example: Tensor) -> Compact:
    """The network without its dead neurons: smaller tensors, the same function, faster everywhere.

    Definition: on a copy, `tighten.fold` moves constants into biases and empties neurons that nothing reads. A neuron
    goes if no output depends on it and the same holds for all that it is coupled to (by residual sums,
    concatenation, flattening ...), as torch-pruning's dependency graph tells. So whole rows, columns and channels go.
    A column without weights stays where something else reads its neuron; a layer keeps at least one neuron.

    Exact: in eval mode the outputs are equal up to rounding, for inputs of the example's shape, any number of them.
    This is shown for each network before it is returned, with weights that open every path and with its own.
    What cannot be shown stays, and the notes say so.

    Cost: a few forward and backward passes of the example in float64 on the CPU, and several copies of the network.

    Args:
        model: the network; it is not changed.
        example: a batch of its inputs; one is enough.

    Raises:
        PlanError: torch-pruning is missing; the model cannot be traced or followed; or it does not take the example.
    """
    home = next((p.device for p in model.parameters()), torch.device("cpu"))
    full, example = copy.deepcopy(model).cpu().eval(), example.detach().cpu()
    folding = fold(full, example)
    if folding.reason is not None:
        raise PlanError(f"the network cannot be made smaller: {folding.reason}")
    free = unread(full, example)
    parts, notes = removals(Couplings(full, example), free)
    small, places, refused = _proved(full, example, parts)
    _check(model, small, example)
    layers = _layers(full, small)
    before, after = _macs(full, example), _macs(small, example)
    _as_it_was(full, model)
    fill(small, places, full)
    return Compact(
        model=small.to(home),
        layers=layers,
        parameters_before=sum(p.numel() for p in full.parameters()),
        parameters_after=sum(p.numel() for p in small.parameters()),
        macs_before=before,
        macs_after=after,
        indices=places,
        full=full.state_dict(),
        notes=(*_left(folding), *notes, *refused),
    )


def _proved(full: nn.Module, example: Tensor, parts: list[Removal]) -> tuple[nn.Module, dict[str, Tensor], list[str]]:
    """The smallest network that is the same for certain: all parts at once, else one after the other."""
    opened, inputs = open_paths(full), inputs_like(example, positive=True)
    try:
        difference(opened, opened, inputs)
    except Exception as error:
        raise PlanError(
            f"{type(full).__name__} does not run in float64 ({error}), which the proof needs: leave dtypes to the input"
        ) from error

    def wrong(parts: list[Removal]) -> str | None:
        try:
            small, places = sliced(full, together(parts))
            trial = copy.deepcopy(small)
            fill(trial, places, opened)
            apart = difference(opened, trial, inputs)
        except Exception as error:  # whatever the narrower network trips over
            return f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"
        return None if apart <= _SAME else "the outputs would change"

    kept, refused = parts, []
    if wrong(parts) is not None:
        kept = []
        for part in parts:
            if (reason := wrong([*kept, part])) is None:
                kept.append(part)
            else:
                names = ", ".join(f"'{cut.module}'" for cut in part if cut.outputs)
                refused.append(f"unread neurons of {names} stay: the network does not work without them ({reason})")
    return *sliced(full, together(kept)), refused


def _check(model: nn.Module, small: nn.Module, example: Tensor) -> None:
    """That the small network computes what the given one does, with the weights that they have."""
    given = copy.deepcopy(model).cpu().eval()
    # Folding rounds biases to their own type, once.
    rounding = max((torch.finfo(p.dtype).eps for p in given.parameters() if p.is_floating_point()), default=0.0)
    first = example.double() if example.is_floating_point() else example
    apart = difference(given.double(), copy.deepcopy(small).double(), [first, *inputs_like(example, positive=False)])
    if apart > 1e3 * rounding:
        raise PlanError(
            f"the smaller {type(model).__name__} would differ by {apart:.1e} of its largest output: "
            "use the network as it is, and please report it"
        )


def _layers(full: nn.Module, small: nn.Module) -> tuple[CompactLayer, ...]:
    layers = []
    for name, module in full.named_modules():
        narrow = small.get_submodule(name)
        if isinstance(module, nn.Linear | _ConvNd) and isinstance(narrow, nn.Linear | _ConvNd):
            (inputs, before), (left, after) = _sides(module), _sides(narrow)
            layers.append(CompactLayer(name, before, after, inputs, left, _idle(narrow)))
    return tuple(layers)


def _sides(module: nn.Linear | _ConvNd) -> tuple[int, int]:
    if isinstance(module, nn.Linear):
        return module.in_features, module.out_features
    return module.in_channels, module.out_channels


def _idle(module: nn.Linear | _ConvNd) -> int:
    if isinstance(module, _ConvNd) and module.groups > 1:
        return 0
    weight = module.weight.detach()
    columns = weight if isinstance(module, _ConvNd) and module.transposed else weight.movedim(1, 0)
    return int(columns.flatten(1).eq(0).all(1).sum())


def _macs(model: nn.Module, example: Tensor) -> int:
    sizes = {name: p.numel() for name, p in model.named_parameters()}
    return sum(places * sizes[name] for name, places in macs_per_weight(model, example).items())


def _left(folding: Folding) -> list[str]:
    lines = [
        f"'{layer.name}': {layer.left} constant of {layer.neurons} neurons stay: an output reads them, or a layer that "
        "cannot take a constant exactly (zero padding, no bias)"
        for layer in folding.layers
        if layer.left
    ]
    if folding.opaque:
        lines.append(f"not understood, so all that reaches it stays: {', '.join(folding.opaque)}")
    return lines


def _as_it_was(full: nn.Module, model: nn.Module) -> None:
    """The modes of the given model, which folding and proving had changed."""
    modules, parameters = dict(model.named_modules()), dict(named_tensors(model))
    for name, module in full.named_modules():
        module.training = modules[name].training
    for name, parameter in full.named_parameters():
        parameter.requires_grad_(parameters[name].requires_grad)
