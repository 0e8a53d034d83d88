"""The ways in which a layer can be computed, by name."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from tighten.runtime.conv import ChannelsLast, Packed, ShrunkConv
from tighten.runtime.csr import WIDE
from tighten.runtime.linear import CsrLinear, ShrunkLinear
from tighten.runtime.pixels import PixelCsr, pixel_calls
from tighten.runtime.pool import PoolChannelsLast, PoolSlices, window_of
from tighten.runtime.runs import RunsCsr
from tighten.runtime.unfold import MapCsr, Unfolded, map_entries
from tighten.runtime.winograd import LARGEST_KERNEL, Winograd

MEANING = {
    "dense": "the layer as it is",
    "channels-last": "dense, in the memory order [N, H, W, C]",
    "packed": "dense, weights put in oneDNN's order once",
    "winograd": "dense, with fewer multiplications by Winograd's filters",
    "shrunk": "dense, without dead rows, columns or channels",
    "unfold": "dense product with the unfolded windows of live channels",
    "csr": "compressed sparse rows",
    "unfold-csr": "compressed sparse rows times the unfolded windows",
    "runs-csr": "compressed sparse rows times windows that are copied in long runs",
    "pixel-csr": "compressed sparse rows, place by place for the whole batch",
    "map-csr": "the whole layer as one sparse matrix",
    "slices": "maximum of shifted pictures",
}

# Denser layers than this never gain from sparse products; trying them would only cost time and memory.
_DENSEST = 0.7
# 96 MB with the indices.
_MOST_MAP_ENTRIES = 12_000_000
# Each is a call of its own.
_MOST_PIXELS = 4096

_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")

Kernels = dict[str, Callable[[], nn.Module]]


def density(layer: nn.Module) -> float | None:
    """Kept / all of the weights; None for a layer without."""
    weight = getattr(layer, "weight", None)
    return int(weight.count_nonzero()) / max(1, weight.numel()) if isinstance(weight, Tensor) else None


def is_layer(module: nn.Module) -> bool:
    """Whether the module is of a kind that has other ways than the dense one."""
    return type(module) in (nn.Linear, nn.Conv2d, nn.MaxPool2d)


def has_hooks(module: nn.Module) -> bool:
    """Whether the module does more than its class says."""
    return any(getattr(module, hooks) for hooks in _HOOKS)


def kept_dense(module: nn.Module) -> str | None:
    """Why a layer must stay as it is; None where it need not."""
    if has_hooks(module):
        return "has hooks: remove them (torch.nn.utils.prune.remove) to let it be replaced"
    if isinstance(module, nn.Linear | nn.Conv2d) and not module.weight.is_floating_point():
        return f"its weights are {module.weight.dtype}"
    if isinstance(module, nn.Conv2d) and module.groups > 1:
        return f"{module.groups} groups"
    if isinstance(module, nn.Conv2d) and module.padding_mode != "zeros":
        return f"padding mode '{module.padding_mode}'"
    if isinstance(module, nn.MaxPool2d) and module.return_indices:
        return "it returns indices"
    return None


def kernels(layer: nn.Module, shape: tuple[int, ...]) -> Kernels:
    """What may be faster than the dense layer on inputs of this shape, built when called.

    Building or running one may raise where this PyTorch lacks it; then it is no choice.
    """
    if kept_dense(layer) is not None:
        return {}
    sparse = (density(layer) or 0.0) <= _DENSEST
    if isinstance(layer, nn.Linear):
        found: Kernels = {"csr": lambda: CsrLinear(layer)} if sparse else {}
        return {**found, "shrunk": lambda: ShrunkLinear(layer)} if _has_dead(layer, 1) else found
    if isinstance(layer, nn.MaxPool2d):
        found = {"channels-last": lambda: PoolChannelsLast(layer)}
        window = window_of(layer)
        return found if window is None else {**found, "slices": lambda: PoolSlices(window)}
    if isinstance(layer, nn.Conv2d):
        return _of_convolution(layer, shape, sparse)
    return {}


def _of_convolution(layer: nn.Conv2d, shape: tuple[int, ...], sparse: bool) -> Kernels:
    size = (shape[-2], shape[-1])
    found: Kernels = {
        "channels-last": lambda: ChannelsLast(layer),
        "packed": lambda: Packed(layer, shape),
        "unfold": lambda: Unfolded(layer, sparse=False),
    }
    if set(layer.stride) == set(layer.dilation) == {1} and 1 < max(layer.kernel_size) <= LARGEST_KERNEL:
        found["winograd"] = lambda: Winograd(layer)
    if _has_dead(layer, 2):
        found["shrunk"] = lambda: ShrunkConv(layer)
    if sparse:
        found["unfold-csr"] = lambda: Unfolded(layer, sparse=True)
        if set(layer.stride) == {1}:
            found["runs-csr"] = lambda: RunsCsr(layer)
        if len(shape) == 4 and shape[0] >= WIDE and pixel_calls(layer, size) <= _MOST_PIXELS:
            found["pixel-csr"] = lambda: PixelCsr(layer, size)
        if map_entries(layer, size) <= _MOST_MAP_ENTRIES:
            found["map-csr"] = lambda: MapCsr(layer, size)
    return found


def _has_dead(layer: nn.Linear | nn.Conv2d, axis: int) -> bool:
    """Whether an input or an output is dead, that is, has zero weights only."""
    alive = layer.weight.detach() != 0
    alive = alive.flatten(axis).any(axis) if axis == 2 else alive
    return not bool(alive.any(0).all() and alive.any(1).all())
