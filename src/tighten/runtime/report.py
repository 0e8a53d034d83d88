"""What was chosen and what it gains, as data and in words."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from tighten.runtime.kernels import MEANING


@dataclass(frozen=True)
class LayerReport:
    """One layer: its kernel, and how long it takes beside the dense one.

    Args:
        name: of the layer in the model, or of the operation in its graph.
        kind: its class.
        density: kept / all of its weights; None for a layer without weights.
        kernel: a key of `MEANING`.
        dense_us: microseconds of the dense layer, on the input that it gets in the compiled network; None where
            nothing was measured.
        chosen_us: microseconds of the chosen kernel.
        note: why the layer stays dense without measurement.
    """

    name: str
    kind: str
    density: float | None
    kernel: str
    dense_us: float | None = None
    chosen_us: float | None = None
    note: str | None = None

    @property
    def gain(self) -> float | None:
        """How many times faster the layer is."""
        return self.dense_us / self.chosen_us if self.dense_us and self.chosen_us else None


@dataclass(frozen=True)
class Report:
    """A compiled network beside the plain one.

    Args:
        layers: in the order of computation.
        shapes: of the inputs that were measured.
        threads: that PyTorch had.
        plain_us: microseconds of the plain model; None where nothing was measured.
        compiled_us: microseconds of what was found.
        kept_plain: whether the plain model was taken after all.
        notes: what a reader should know, in words.
    """

    layers: tuple[LayerReport, ...]
    shapes: tuple[tuple[int, ...], ...]
    threads: int
    plain_us: float | None = None
    compiled_us: float | None = None
    kept_plain: bool = False
    notes: tuple[str, ...] = ()

    @property
    def gain(self) -> float | None:
        """How many times faster the network is; 1 where the plain model was taken."""
        if self.plain_us is None or self.compiled_us is None:
            return None
        return 1.0 if self.kept_plain else self.plain_us / self.compiled_us

    def to_data(self) -> dict[str, Any]:
        """The report as JSON-able data."""
        return {**asdict(self), "gain": self.gain}

    def __str__(self) -> str:
        shapes = ", ".join("x".join(map(str, shape)) for shape in self.shapes)
        lines = [f"inputs {shapes}, {self.threads} thread{'s' * (self.threads != 1)}"]
        lines += _table(self.layers)
        used = sorted({layer.kernel for layer in self.layers})
        lines += [f"{name}: {MEANING[name]}" for name in used if name != "dense"]
        return "\n".join([*lines, *self.notes])


def in_words(plain_us: float, compiled_us: float, kept_plain: bool) -> str:
    """The outcome for the whole network as a sentence."""
    times = f"{_time(compiled_us)} against {_time(plain_us)} of the plain model"
    if kept_plain:
        return f"Nothing is gained: what was found takes {times}. The plain model is used."
    return f"The network is {plain_us / compiled_us:.2f}x as fast: {times}."


def _table(layers: tuple[LayerReport, ...]) -> list[str]:
    rows = [("layer", "kind", "density", "kernel", "dense", "chosen", "gain")]
    for layer in layers:
        rows.append(
            (
                layer.name,
                layer.kind,
                "-" if layer.density is None else f"{layer.density:.2%}",
                layer.kernel,
                _time(layer.dense_us),
                _time(layer.chosen_us),
                _gain(layer),
            )
        )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _gain(layer: LayerReport) -> str:
    if layer.note is not None:
        return f"stays dense: {layer.note}"
    if layer.gain is None:
        return "not measured"
    return "none" if layer.kernel == "dense" else f"{layer.gain:.2f}x"


def _time(us: float | None) -> str:
    if us is None:
        return "-"
    return f"{us:.1f} us" if us < 1000 else f"{us / 1000:.2f} ms"
