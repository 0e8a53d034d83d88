"""What a rival's weights are worth: counted, coded and tried on held-out pictures, by the same code for all."""

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

import tighten as tt
from tighten.codes import Code, Dense, Indexed, Sparse
from tighten.data import ImageData
from tighten.engine import accuracy
from tighten.zoo import LeNet5

MOST_LEVELS = 256
"""The longest table of a layer."""
MOST_STEPS = 127
"""The most steps on one side of zero: those of eight bits."""
NEAR = 1e-3
"""How far from a whole step a value may lie, in steps: what computing in floats does to it."""


def codecs() -> ModuleType:
    """The script `benchmarks/codecs.py`; a plain import of that name finds Python's own."""
    path = Path(__file__).resolve().parents[1] / "codecs.py"
    spec = importlib.util.spec_from_file_location("codecs_benchmark", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def score(state: dict[str, Tensor], kind: str, data: ImageData, deepcabac: Path | None = None) -> dict[str, Any]:
    """Accuracies in percent, counts, and bytes of the weights by several codes.

    Args:
        state: of LeNet-5.
        kind: of the row.
        data: its validation and test pictures are used.
        deepcabac: the environment of that codec; None leaves it out.
    """
    # Some ways to mask leave negative zeros.
    state = {name: tensor.float() + 0 for name, tensor in state.items()}
    weights = {name: tensor for name, tensor in state.items() if tensor.ndim > 1}
    codes = {name: code_of(weight, kind) for name, weight in weights.items()}
    # What is scored is what the codes say, to the last bit.
    weights = {name: code.dense() for name, code in codes.items()}
    state |= weights
    model = LeNet5()
    model.load_state_dict(state)
    sizes = tt.Artifact.of(state, codes, {}).sizes()
    benchmark = codecs()
    grids = {name: benchmark.grid(code) for name, code in codes.items()}
    floats = sum(size for _, size in grids.values()) + sum(map(table_bytes, codes.values()))
    bytes_of = {
        "ours": sizes.positions + sizes.values + sizes.tables,
        "zlib": round(floats + sum(benchmark.others(matrix)["zlib"] for matrix, _ in grids.values())),
    }
    if deepcabac is not None:
        matrices = {name: matrix for name, (matrix, _) in grids.items()}
        bytes_of["DeepCABAC"] = floats + benchmark.deepcabac(matrices, deepcabac)
    kept = {name: int(weight.count_nonzero()) for name, weight in weights.items()}
    total = sum(weight.numel() for weight in weights.values())
    return {
        "accuracy": accuracy(model, data.test),
        "validation_accuracy": accuracy(model, data.validation),
        "kept": sum(kept.values()),
        "rate": round(total / max(1, sum(kept.values())), 2),
        "kept_by_layer": kept,
        "levels_by_layer": {name: levels(weight) for name, weight in weights.items()},
        "biases": sum(int(tensor.count_nonzero()) for tensor in state.values() if tensor.ndim == 1),
        "weight_bytes": bytes_of,
        "file_bytes": sizes.total,
    }


def table_bytes(code: Code) -> int:
    """Levels that are no whole steps, and scales, as floats."""
    inner = code.inner if isinstance(code, Sparse) else code
    if not isinstance(inner, Indexed):
        return 0
    whole = bool((inner.steps == inner.steps.round()).all())
    return 4 * len(inner.scale if whole else inner.steps)


def levels(weight: Tensor) -> int:
    """The most different values, zero left out, in one output channel."""
    return max(len(channel[channel != 0].unique()) for channel in weight)


def code_of(weight: Tensor, kind: str) -> Code:
    """The weight as levels where it has few, else as floats; zeros as a support where there are some."""
    kept = weight[weight != 0]
    inner = Dense(kept) if kind == "pruned" or not len(kept) else indexed(weight) or Dense(kept)
    return inner_alone(inner, weight) if len(kept) == weight.numel() else Sparse(weight != 0, (1,) * weight.ndim, inner)


def inner_alone(inner: Dense | Indexed, weight: Tensor) -> Code:
    """The code of a weight without zeros, in its own shape."""
    if isinstance(inner, Dense):
        return Dense(weight)
    return Indexed(inner.index.view(weight.shape), inner.steps, inner.scale, inner.counts)


def indexed(weight: Tensor) -> Indexed | None:
    """The kept entries by a table for the layer, or by whole steps of one scale an output channel: the fewer floats."""
    kept = weight[weight != 0]
    steps, index = kept.unique(return_inverse=True)
    table = Indexed(index.to(torch.uint8), steps, torch.ones(1), torch.tensor([len(kept)]))
    if len(steps) > MOST_LEVELS:
        return gridded(weight)
    if len(steps) <= 2 or (grid := gridded(weight)) is None or len(steps) <= len(grid.scale):
        return table
    return grid


def gridded(weight: Tensor) -> Indexed | None:
    """The kept entries as whole steps of a scale for each output channel; None where they are none."""
    channels = [channel[channel != 0] for channel in weight]
    places, scales = [], []
    for channel in channels:
        if not len(channel):
            scales.append(torch.ones(()))
            continue
        largest = channel.abs().max()
        parts = channel.double() / largest
        wholes = (n for n in range(1, MOST_STEPS + 1) if float((parts * n - (parts * n).round()).abs().max()) < NEAR)
        most = next(wholes, None)
        if most is None:
            return None
        places.append((parts * most).round())
        scales.append(largest / most)
    steps, index = torch.cat(places).float().unique(return_inverse=True)
    counts = torch.tensor([len(channel) for channel in channels])
    return Indexed(index.to(torch.uint8), steps, torch.stack(scales), counts)
