"""Sites: the named places of a model that sets constrain.

Only this file reads parameters by name, and only it knows that a parameter may be shared by processes: everybody
else gets the part that is here. Names are looked up each time, because loading a state dict may replace the tensors.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import TypeAlias

import torch
from torch import Tensor, nn

from tighten.errors import PlanError, TrainingError
from tighten.sets import Set
from tighten.sets.part import Part, anywhere
from tighten.sharding import local, part_of
from tighten.suggest import nearest

Selector: TypeAlias = str | Callable[[nn.Module], Sequence[str]]
"""A parameter name, a pattern with `*`, or a function from a model to names."""
CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)


def weights(model: nn.Module) -> list[str]:
    """The names of all parameters with two or more axes, in the model's order."""
    return [name for name, p in model.named_parameters() if p.ndim >= 2]


def inner_weights(model: nn.Module) -> list[str]:
    """All weights but the first and the last; all of them where there are fewer than three."""
    names = weights(model)
    return names[1:-1] or names


def end_weights(model: nn.Module) -> list[str]:
    """The first and the last weight; all of them where there are fewer than three."""
    names = weights(model)
    return [names[0], names[-1]] if len(names) > 2 else names


def depthwise_weights(model: nn.Module) -> list[str]:
    """The weights of convolutions that see one input channel each; they are few, and every one of them matters."""
    depthwise = {id(m.weight) for m in model.modules() if isinstance(m, CONVOLUTIONS) and _is_depthwise(m)}
    return [name for name, p in model.named_parameters() if id(p) in depthwise]


def full_weights(model: nn.Module) -> list[str]:
    """All weights but those of depthwise convolutions."""
    left_out = set(depthwise_weights(model))
    return [name for name in weights(model) if name not in left_out]


def _is_depthwise(module: nn.Conv1d | nn.Conv2d | nn.Conv3d) -> bool:
    return module.groups > 1 and module.groups == module.in_channels


def select(model: nn.Module, sets: Mapping[Selector, Set]) -> dict[str, Set]:
    """The set of each site, in the model's order; of several selectors that match, the last one counts.

    A pattern chooses among the weights (two or more axes); only where it matches none of them does it
    choose among the rest, so that `*` leaves biases and batch norm alone and `*.bias` finds them.

    Raises:
        PlanError: a selector that matches nothing, or a parameter that does not require a gradient.
    """
    parameters = dict(model.named_parameters())
    chosen: dict[str, Set] = {}
    for selector, constraint in sets.items():
        for name in _names(model, selector, list(parameters)):
            chosen[name] = constraint
    for name in chosen:
        if not parameters[name].requires_grad:
            raise PlanError(
                f"'{name}' is to be compressed, but it is frozen (requires_grad is False): "
                f"call requires_grad_() on it or leave it out of the sets"
            )
    return {name: chosen[name] for name in parameters if name in chosen}


def _names(model: nn.Module, selector: Selector, parameters: list[str]) -> list[str]:
    if callable(selector):
        found = list(selector(model))
        unknown = [name for name in found if name not in parameters]
        if unknown:
            raise PlanError(f"the selector {selector!r} names '{unknown[0]}', which the model does not have")
        shown = getattr(selector, "__name__", repr(selector))
    else:
        large = weights(model)
        found = [name for name in large if fnmatchcase(name, selector)]
        found = found or [name for name in parameters if fnmatchcase(name, selector)]
        shown = selector
    if not found:
        raise PlanError(
            f"'{shown}' matches no parameter of {type(model).__name__}{nearest(shown, parameters)}; "
            f"it has {', '.join(parameters)}"
        )
    return found


def tensors(model: nn.Module, names: Sequence[str]) -> dict[str, Tensor]:
    """What is here of the parameters of these names, as they are now."""
    return {name: local(p) for name, p in parameters(model, names).items()}


def parameters(model: nn.Module, names: Sequence[str]) -> dict[str, nn.Parameter]:
    """The parameters of these names themselves."""
    every = dict(model.named_parameters())
    return {name: every[name] for name in names}


def gradients(model: nn.Module, names: Sequence[str]) -> dict[str, Tensor]:
    """What is here of the gradients of these names, where there are any."""
    return {name: local(p.grad) for name, p in parameters(model, names).items() if p.grad is not None}


def parts(model: nn.Module, names: Sequence[str]) -> dict[str, Part]:
    """Which parts of the parameters are here; only of those that processes share."""
    found = {name: part_of(p, name) for name, p in parameters(model, names).items()}
    return {name: part for name, part in found.items() if part is not None}


def check_finite(named: Mapping[str, Tensor], when: str, parts: Mapping[str, Part] | None = None) -> None:
    """Nothing, where every entry is finite, in every process.

    Raises:
        TrainingError: an entry is not a number or infinite.
    """
    for name, tensor in named.items():
        shared = [parts[name]] if parts and name in parts else []
        if anywhere(shared, not bool(torch.isfinite(tensor).all())):
            raise TrainingError(
                f"'{name}' holds NaN or infinite values {when}: lower the learning rate or rho, "
                f"and go on from the last checkpoint"
            )
