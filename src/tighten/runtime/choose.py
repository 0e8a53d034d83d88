"""The kernel of each layer, by measurement or as it was chosen before."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from tighten.errors import CompileError
from tighten.runtime.clock import race
from tighten.runtime.kernels import MEANING, Kernels, density, kept_dense, kernels
from tighten.runtime.report import LayerReport

# How much slower alone a kernel may be to be tried in the whole network.
_RIVAL = 1.6

Runner = Callable[[], object]


class Chooser:
    """One way for each layer, found while the network runs, so that each is measured on the input it really gets.

    Args:
        seconds: to spend on each layer.
        given: kernels by layer name, chosen before; None to measure. Layers without a name in it stay dense.
        finish: wrapped around every kernel that replaces a layer.
    """

    def __init__(
        self,
        seconds: float,
        given: Mapping[str, str] | None,
        finish: Callable[[nn.Module], nn.Module] = lambda kernel: kernel,
    ) -> None:
        self.seconds, self.given, self.finish = seconds, given, finish
        self.layers: dict[str, LayerReport] = {}
        self.rivals: dict[str, dict[str, tuple[nn.Module, float]]] = {}

    def choose(self, name: str, layer: nn.Module, x: Tensor) -> nn.Module:
        """The kernel for this layer on this input; the layer itself where none is faster."""
        note = kept_dense(layer) or _unfit(x)
        found = {} if note else kernels(layer, tuple(x.shape))
        if self.given is not None:
            return self._as_given(name, layer, found, note)
        fastest, kernel, times = "dense", layer, dict[str, float]()
        if found:
            built = {key: self.finish(one) for key, one in _built(found, layer, x).items()}
            everything = {"dense": layer, **built}
            times = race({key: _runner(one, x) for key, one in everything.items()}, self.seconds)
            fastest = min(times, key=lambda key: times[key])
            kernel = everything[fastest]
            near = [key for key in times if key != fastest and times[key] < _RIVAL * times[fastest]]
            self.rivals[name] = {key: (everything[key], times[key]) for key in near}
        self.layers[name] = LayerReport(
            name, type(layer).__name__, density(layer), fastest, times.get("dense"), times.get(fastest), note
        )
        return kernel

    def check_given(self) -> None:
        """Raises where a given name was no layer.

        Raises:
            CompileError: a name that no layer has.
        """
        for name in self.given or {}:
            if name not in self.layers:
                known = ", ".join(self.layers) or "none"
                raise CompileError(f"choices name '{name}', which is no layer here ({known}): compile without choices")

    def _as_given(self, name: str, layer: nn.Module, found: Kernels, note: str | None) -> nn.Module:
        key = (self.given or {}).get(name, "dense")
        self.layers[name] = LayerReport(name, type(layer).__name__, density(layer), key, note=note)
        if key == "dense":
            return layer
        if key not in found:
            why = note or f"it can be {', '.join(['dense', *found])}"
            word = "" if key in MEANING else ", which is no kernel"
            raise CompileError(f"'{name}' cannot be '{key}'{word} ({why}): compile without choices to measure again")
        try:
            return self.finish(found[key]())
        except RuntimeError as error:
            raise CompileError(f"'{name}' cannot be '{key}' with this PyTorch: compile without choices") from error


def close(a: Tensor, b: Tensor) -> bool:
    """Whether two results are equal but for rounding; the measure is the largest entry."""
    if a.shape != b.shape or a.dtype != b.dtype:
        return False
    if not a.is_floating_point():
        return torch.equal(a, b)
    finite = b[b.isfinite()]
    scale = float(finite.abs().max()) if finite.numel() else 0.0
    return torch.allclose(a, b, rtol=1e-4, atol=1e-4 * scale, equal_nan=True)


def _built(found: Kernels, layer: nn.Module, x: Tensor) -> dict[str, nn.Module]:
    """The kernels that work here and give what the layer gives."""
    right, built = layer(x), {}
    for key, build in found.items():
        try:
            kernel = build()
            if close(kernel(x), right):
                built[key] = kernel
        except RuntimeError:
            continue  # this PyTorch or processor lacks it
    return built


def _unfit(x: Tensor) -> str | None:
    return None if x.is_floating_point() and x.numel() else f"its input is {x.dtype} of shape {list(x.shape)}"


def _runner(kernel: nn.Module, x: Tensor) -> Runner:
    return lambda: kernel(x)
