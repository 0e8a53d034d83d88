"""What a model consists of, and what of it is worth compressing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from tighten.errors import PlanError

FEWEST = 64
"""A tensor with fewer entries is left alone: its place in the file costs more than could be saved."""
SIDES = (32, 28, 224, 64, 96, 128, 299, 8, 16, 48)
"""Of pictures, tried where nobody says the shape."""


@dataclass(frozen=True)
class Layer:
    """One parameter.

    Args:
        name: in the state dict.
        shape: its own.
        kind: the class of its module.
        skipped: why it is left alone; empty where it is compressed.
    """

    name: str
    shape: tuple[int, ...]
    kind: str
    skipped: str = ""

    @property
    def entries(self) -> int:
        """How many numbers it holds."""
        return torch.Size(self.shape).numel()


@dataclass(frozen=True)
class Look:
    """A model as it was found.

    Args:
        layers: its parameters, in its order.
        input_shape: of one example, without the batch axis.
        classes: numbers that the model gives for one example.
    """

    layers: tuple[Layer, ...]
    input_shape: tuple[int, ...]
    classes: int

    @property
    def chosen(self) -> list[Layer]:
        """What is compressed."""
        return [layer for layer in self.layers if not layer.skipped]

    @property
    def skipped(self) -> list[Layer]:
        """What is left alone."""
        return [layer for layer in self.layers if layer.skipped]


def look(model: nn.Module, input_shape: tuple[int, ...] | None = None) -> Look:
    """The layers of a model, and its inputs and outputs, found by running it on zeros.

    Args:
        model: a classifier that takes a batch of float tensors.
        input_shape: of one example; None to try what the first layer takes.

    Raises:
        PlanError: no shape fits, the outputs are no scores of classes, or there is nothing to compress.
    """
    shape, output = _run(model, input_shape)
    used = _used(model, shape)
    modules = dict(model.named_modules())
    layers = []
    for name, parameter in model.named_parameters():
        kind = type(modules[name.rpartition(".")[0]]).__name__
        layers.append(Layer(name, tuple(parameter.shape), kind, _why_not(name, parameter, used)))
    found = Look(tuple(layers), shape, output.shape[1])
    if not found.chosen:
        raise PlanError(
            f"{type(model).__name__} has no weight of two axes and {FEWEST} entries that could be trained: "
            "is it the right model, and is requires_grad set?"
        )
    return found


def _why_not(name: str, parameter: Tensor, used: set[str]) -> str:
    if not parameter.requires_grad:
        return "frozen: requires_grad is False"
    if parameter.ndim < 2:
        return "a bias or a norm: few numbers, which the network needs exactly"
    if name not in used:
        return "no gradient reaches it: the outputs do not depend on it"
    if parameter.numel() < FEWEST:
        return f"only {parameter.numel()} entries: nothing to be saved"
    return ""


def _run(model: nn.Module, given: tuple[int, ...] | None) -> tuple[tuple[int, ...], Tensor]:
    shapes = [given] if given is not None else list(_candidates(model))
    last = "its first layer is neither a convolution of pictures nor linear"
    for shape in shapes:
        try:
            output = _forward(model, shape)
        except (RuntimeError, ValueError, TypeError, IndexError) as error:
            last = str(error).splitlines()[0] if str(error) else type(error).__name__
            continue
        if not isinstance(output, Tensor) or output.ndim != 2:
            what = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
            raise PlanError(
                f"{type(model).__name__} gives {what} for two examples of shape {shape}: the built-in trainer takes "
                "classifiers that give one row of scores each; for others use tt.Session in your own loop"
            )
        return shape, output
    tried = "x".join(map(str, shapes[0])) if given is not None else "what its first layer seems to take"
    raise PlanError(f"{type(model).__name__} does not run on {tried} ({last}): give --input C,H,W of one example")


def _candidates(model: nn.Module) -> Iterator[tuple[int, ...]]:
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            yield from ((module.in_channels, side, side) for side in SIDES)
            return
        if isinstance(module, nn.Linear):
            yield (module.in_features,)
            yield from ((1, side, side) for side in SIDES if side * side == module.in_features)
            yield from ((3, side, side) for side in SIDES if 3 * side * side == module.in_features)
            return


def _forward(model: nn.Module, shape: tuple[int, ...]) -> Tensor:
    before = {module: module.training for module in model.modules()}
    model.eval()
    try:
        with torch.no_grad():
            output: Tensor = model(torch.zeros(2, *shape))
    finally:
        for module, training in before.items():
            module.training = training
    return output


def _used(model: nn.Module, shape: tuple[int, ...]) -> set[str]:
    """The parameters that the outputs depend on."""
    before = {module: module.training for module in model.modules()}
    model.eval()
    try:
        trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
        with torch.enable_grad():
            total = model(torch.zeros(2, *shape)).sum()
            if not total.requires_grad:
                return set()
            gradients = torch.autograd.grad(total, list(trained.values()), allow_unused=True)
    finally:
        for module, training in before.items():
            module.training = training
    return {name for name, gradient in zip(trained, gradients, strict=True) if gradient is not None}
