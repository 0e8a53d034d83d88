"""From a model to a network that runs faster, or to the plain model where nothing does."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, fx, nn

from tighten.artifact import Artifact, load
from tighten.errors import CompileError
from tighten.imports import call_named
from tighten.runtime.choose import Chooser, close
from tighten.runtime.clock import race
from tighten.runtime.compiled import Compiled
from tighten.runtime.graph import prepare, trace
from tighten.runtime.kernels import is_layer
from tighten.runtime.refine import refine
from tighten.runtime.report import Report, in_words

Example = Tensor | tuple[Any, ...]

# Less than this is not told apart from noise, and the plain model is simpler.
_LEAST_GAIN = 1.02
_SHARE_OF_LAYERS, _SHARE_OF_RIVALS, _SHARE_OF_JUDGEMENT = 0.5, 0.3, 0.2


def compile(
    model: nn.Module, example: Example, *, seconds: float = 10.0, choices: Mapping[str, str] | None = None
) -> Compiled:
    """The model with the fastest kernel for each layer, measured here on inputs like the example.

    Definition: each layer is run in every way that suits it, on the input that it gets in the network, with the
    threads that PyTorch has now; the fastest stays, and close rivals are tried in the whole network. At last that is
    measured against the plain model, in turn; where it is not at least 2 % faster, the plain model is what is
    returned. The model itself is not changed.
    Cost: about `seconds`, more for networks of which one run takes a good part of that (each layer is run in each way
    twice at least); memory for a copy of the model, and for other forms of its weights.

    Args:
        model: on the CPU. Its hooks, and layers that are subclasses, stay as they are.
        example: one input or a tuple of them, with the batch axis, of the size that will be used most.
        seconds: to spend on measuring; what is slow is run twice in any case.
        choices: `Compiled.choices` of an earlier call; then nothing is measured.

    Raises:
        CompileError: the model is not on the CPU or does not take the example, or the choices do not fit it.
    """
    inputs = example if isinstance(example, tuple) else (example,)
    _check(model, inputs, seconds)
    plain = _copied(model)
    with torch.no_grad():
        try:
            expected = plain(*_fresh(inputs))
        except Exception as error:
            shapes = ", ".join(str(list(x.shape)) if isinstance(x, Tensor) else repr(x) for x in inputs)
            raise CompileError(
                f"{type(model).__name__} does not take the example of shape {shapes} ({_first_line(error)}): "
                "give one batch of inputs"
            ) from error
        shapes_of = tuple(tuple(x.shape) for x in inputs if isinstance(x, Tensor))
        if choices is not None and not choices:
            words = "The choices are empty: the plain model is used."
            report = Report((), shapes_of, torch.get_num_threads(), kept_plain=True, notes=(words,))
            return Compiled(plain, report, {})
        network, chooser, notes = _network(plain, inputs, expected, seconds, choices)
        report = Report(tuple(chooser.layers.values()), shapes_of, torch.get_num_threads(), notes=notes)
        names = {name: layer.kernel for name, layer in chooser.layers.items()}
        found = Compiled(network, report, names)
        if choices is not None:
            return found
        return _judged(plain, found, inputs, seconds * _SHARE_OF_JUDGEMENT)


def compile_file(
    path: str | Path,
    example: Example,
    model: nn.Module | None = None,
    *,
    seconds: float = 10.0,
    choices: Mapping[str, str] | None = None,
) -> Compiled:
    """The network of a `.tight` file, compiled.

    Args:
        path: the file.
        example, seconds, choices: as `compile`.
        model: a model of the same architecture, which is copied; None for the one that the file names, if that is in
            `tighten.zoo`.

    Raises:
        ArtifactError: the file is damaged or of another model.
        CompileError: as `compile`, or the file names no model that can be built.
    """
    if model is None:
        named = Artifact.open(path).meta.get("model")
        if not isinstance(named, str) or not named.startswith("tighten.zoo:"):
            says = f"names the model '{named}', which is not in tighten.zoo" if named else "does not name its model"
            raise CompileError(f"'{path}' {says}: give the model, compile_file(path, example, Net())")
        model = call_named(named, "model")
    else:
        model = copy.deepcopy(model)
    load(path, model)
    return compile(model, example, seconds=seconds, choices=choices)


def _network(
    plain: nn.Module, inputs: tuple[Any, ...], expected: Any, seconds: float, choices: Mapping[str, str] | None
) -> tuple[nn.Module, Chooser, tuple[str, ...]]:
    """The network with its layers chosen: as a graph if that can be had, else the modules alone."""
    count = sum(is_layer(module) for module in plain.modules())
    each = _SHARE_OF_LAYERS * seconds / max(1, count)
    network = trace(plain)
    if isinstance(network, fx.GraphModule):
        prepare(network)
        chooser = Chooser(each, choices)
        try:
            _InGraph(network, chooser).run(*_fresh(inputs))
            if _same(network(*_fresh(inputs)), expected):
                chooser.check_given()
                network = refine(network, chooser, inputs, seconds * _SHARE_OF_RIVALS)
                return network, chooser, ()
            why = f"{type(plain).__name__} does something else when it is traced: its forward depends on values"
        except CompileError:
            raise
        except Exception as error:
            why = f"the graph of {type(plain).__name__} does not run ({_first_line(error)})"
    else:
        why = network
    chooser = Chooser(each, choices, finish=_Contiguous)
    modules = _by_modules(plain, inputs, chooser)
    chooser.check_given()
    return modules, chooser, (f"{why}: layers are exchanged one by one, and functions between them stay.",)


class _InGraph(fx.Interpreter):
    """A run of a graph that exchanges each layer when it comes to it."""

    def __init__(self, network: fx.GraphModule, chooser: Chooser) -> None:
        super().__init__(network)
        self.network, self.chooser = network, chooser

    def call_module(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        layer = self.network.get_submodule(target)
        if is_layer(layer) and len(args) == 1 and not kwargs:
            layer = self.chooser.choose(target, layer, args[0])
            self.network.set_submodule(target, layer)
        return layer(*args, **kwargs)


class _Contiguous(nn.Module):
    """A kernel whose result lies in memory as the layer's would: what follows it is unknown."""

    def __init__(self, kernel: nn.Module) -> None:
        super().__init__()
        self.kernel = kernel

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.kernel(x)
        return result.contiguous()


def _by_modules(plain: nn.Module, inputs: tuple[Any, ...], chooser: Chooser) -> nn.Module:
    # Parameters are shared with the plain model: nothing here writes to them.
    network = copy.deepcopy(plain, {id(tensor): tensor for tensor in (*plain.parameters(), *plain.buffers())})
    chosen: dict[str, nn.Module] = {}

    def choose(name: str, module: nn.Module, args: tuple[Any, ...]) -> None:
        if name not in chosen and len(args) == 1:
            chosen[name] = module
            chosen[name] = chooser.choose(name, module, args[0])

    # The names and hooks are those of the plain model's modules, which stay in place.
    layers = {name: module for name, module in plain.named_modules() if name and is_layer(module)}
    seen: dict[str, tuple[Any, ...]] = {}
    handles = [
        module.register_forward_pre_hook(lambda _, args, name=name: seen.setdefault(name, args) and None)
        for name, module in layers.items()
    ]
    try:
        plain(*_fresh(inputs))
    finally:
        for handle in handles:
            handle.remove()
    for name, args in seen.items():
        choose(name, layers[name], args)
    for name, kernel in chosen.items():
        network.set_submodule(name, kernel)
    return network


def _judged(plain: nn.Module, found: Compiled, inputs: tuple[Any, ...], seconds: float) -> Compiled:
    """What is faster as a whole, with the words for it."""
    times = race({"plain": lambda: plain(*inputs), "found": lambda: found(*inputs)}, seconds)
    worse = times["found"] * _LEAST_GAIN > times["plain"]
    report = found.report
    words = in_words(times["plain"], times["found"], worse)
    report = Report(
        report.layers, report.shapes, report.threads, times["plain"], times["found"], worse, (*report.notes, words)
    )
    return Compiled(plain, report, {}) if worse else Compiled(found.network, report, found.choices)


def _copied(model: nn.Module) -> nn.Module:
    try:
        plain = copy.deepcopy(model).eval().requires_grad_(False)
    except Exception as error:
        raise CompileError(
            f"{type(model).__name__} cannot be copied ({_first_line(error)}): make its weights plain parameters, "
            "as torch.nn.utils.prune.remove does"
        ) from error
    # A layer alone has no place where another could stand.
    return nn.Sequential(plain) if is_layer(plain) else plain


def _check(model: nn.Module, inputs: tuple[Any, ...], seconds: float) -> None:
    if not seconds > 0:
        raise CompileError(f"seconds={seconds!r} leaves no time to measure: give more than 0, such as seconds=10")
    for name, tensor in (*model.named_parameters(), *model.named_buffers()):
        if tensor.device.type != "cpu":
            raise CompileError(f"'{name}' is on {tensor.device}: the runtime is for the CPU, give model.cpu()")
    for x in inputs:
        if isinstance(x, Tensor) and (x.device.type != "cpu" or not x.numel()):
            raise CompileError(f"the example is {list(x.shape)} on {x.device}: give a batch of inputs on the CPU")


def _same(found: Any, expected: Any) -> bool:
    a, b = list(_tensors(found)), list(_tensors(expected))
    return len(a) == len(b) and type(found) is type(expected) and all(map(close, a, b))


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, dict | list | tuple):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _tensors(part)


def _fresh(inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    """Copies: a model may write to its input."""
    return tuple(x.detach().clone() if isinstance(x, Tensor) else x for x in inputs)


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0] if lines else 'no message'}"
