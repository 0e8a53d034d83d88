"""What has to go together, told by torch-pruning's dependency graph.

A channel that leaves one layer leaves its batch norm, the rows and columns of those that are added to it, and the
columns of those that read it.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from tighten.errors import PlanError


@dataclass(frozen=True)
class Cut:
    """One side of a module that may get narrower.

    Args:
        module: its name.
        outputs: whether neurons go (rows of the weight), or what they read (columns). A batch norm and a depthwise
            convolution have outputs alone.
    """

    module: str
    outputs: bool


@dataclass(frozen=True)
class Step:
    """One place that a removal reaches.

    Args:
        cut: what gets narrower there; None where an operation has nothing to remove.
        places: the channels there.
        roots: for each of them the neuron that it goes with.
        obstacle: why these may not go; None where nothing is in the way.
    """

    cut: Cut | None
    places: tuple[int, ...]
    roots: tuple[int | None, ...]
    obstacle: str | None = None


class Couplings:
    """The dependency graph of a model.

    Args:
        model: in eval mode, on the CPU; copied.
        example: what goes into it.

    Raises:
        PlanError: torch-pruning is not installed, or cannot follow the model.
    """

    def __init__(self, model: nn.Module, example: Tensor) -> None:
        self._library = _library()
        own = copy.deepcopy(model).requires_grad_(True)
        self._graph = self._library.DependencyGraph()
        try:
            with torch.enable_grad():
                self._graph.build_dependency(own, (example,), verbose=False)
        except Exception as error:  # whatever the library trips over
            raise PlanError(
                f"torch-pruning cannot follow {type(model).__name__} ({type(error).__name__}: {error}): "
                "use the network as it is, folded by tt.fold"
            ) from error
        self._names = {id(module): name for name, module in own.named_modules()}
        self._modules = dict(own.named_modules())
        self._pads = {id(node): pad for node in self._graph.module2node.values() if (pad := _channel_pad(node))}
        for node in list(self._graph.module2node.values()):
            if id(node) in self._pads:
                _map_pad(node, self._pads[id(node)])

    def knows(self, layer: str) -> bool:
        """Whether a module was seen at work."""
        return self._modules.get(layer) in self._graph.module2node

    def of(self, layer: str, neurons: Sequence[int]) -> list[Step]:
        """All that goes when these neurons of a layer go."""
        module = self._modules[layer]
        prune = self._graph.get_pruner_of_module(module).prune_out_channels
        group = self._graph.get_pruning_group(module, prune, list(neurons))
        return [self._step(item) for item in group.items]

    def _step(self, item: Any) -> Step:
        node, places, roots = item.dep.target, tuple(item.idxs), tuple(item.root_idxs)
        kinds = self._library.ops.OPTYPE
        if node.type in (kinds.CONV, kinds.LINEAR, kinds.BN, kinds.DEPTHWISE_CONV):
            outputs = self._graph.is_out_channel_pruning_fn(item.dep.handler)
            cut = Cut(self._names[id(node.module)], bool(outputs))
            return Step(cut, places, roots, _obstacle(node.module))
        if id(node) in self._pads and any(self._pads[id(node)].adds(place) for place in places):
            return Step(None, places, roots, "a shortcut adds channels of zeros in their place")
        passed = (kinds.ELEMENTWISE, kinds.CONCAT, kinds.SPLIT, kinds.SLICE, kinds.RESHAPE, kinds.EXPAND, kinds.UNBIND)
        if node.type in passed:
            return Step(None, places, roots)
        what = "an output of the model" if node.type == kinds.OUTPUT else f"'{node.name.partition(' (')[0]}'"
        return Step(None, places, roots, f"{what} holds them")


def remove(model: nn.Module, cuts: Mapping[Cut, set[int]]) -> None:
    """Takes channels out of the modules of a model, in place."""
    graph = _library().DependencyGraph()
    for cut, places in cuts.items():
        module = model.get_submodule(cut.module)
        pruner = graph.get_pruner_of_module(module)
        (pruner.prune_out_channels if cut.outputs else pruner.prune_in_channels)(module, sorted(places))


@dataclass(frozen=True)
class _Pad:
    """Padding along the axis of channels: `before` are added, then `inner` come from the input."""

    before: int
    inner: int

    def adds(self, place: int) -> bool:
        return not self.before <= place < self.before + self.inner


@dataclass(frozen=True)
class _Shift:
    """The same channels, counted from another place."""

    by: int
    end: int | None

    def __call__(self, places: list[Any]) -> list[Any]:
        moved = [place._replace(idx=place.idx + self.by) for place in places]
        return [place for place in moved if self.end is None or 0 <= place.idx < self.end]


def _channel_pad(node: Any) -> _Pad | None:
    pad = getattr(node.grad_fn, "_saved_pad", None)
    shapes = getattr(node.grad_fn, "_input_metadata", None)
    if pad is None or not shapes:
        return None
    shape = shapes[0].shape
    before, after = ([*pad, *[0] * (2 * len(shape))])[2 * (len(shape) - 2) :][:2]
    return _Pad(int(before), int(shape[1]) - int(before) - int(after)) if before or after else None


def _map_pad(node: Any, pad: _Pad) -> None:
    # The library takes padding for an operation on single elements.
    for source in node.inputs:
        for dependency in node.dependencies:
            if dependency.target is source:
                dependency.index_mapping[0] = _Shift(-pad.before, pad.inner)
        for dependency in source.dependencies:
            if dependency.target is node:
                dependency.index_mapping[0] = _Shift(pad.before, None)


def _obstacle(module: nn.Module) -> str | None:
    groups = getattr(module, "groups", 1)
    if groups == 1:
        return None
    one_each = module.in_channels == module.out_channels == groups
    return None if one_each else "a convolution in groups holds them"


def _library() -> ModuleType:
    try:
        import torch_pruning
    except ImportError as error:
        raise PlanError(
            f"compact needs torch-pruning, which cannot be imported ({error}): pip install 'tighten[compact]'"
        ) from error
    library: ModuleType = torch_pruning
    return library
