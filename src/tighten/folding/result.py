"""What a fold found and changed."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class FoldedLayer:
    """The neurons (output features or channels) of one layer.

    Args:
        name: the module's name.
        neurons: all of them.
        constant: those that give the same whatever goes in.
        unread: those that do not, but that no output depends on.
        left: the constant ones that are still read: by an output, or by what cannot take the constant exactly.
    """

    name: str
    neurons: int
    constant: int
    unread: int
    left: int


@dataclass(frozen=True)
class FoldedParameter:
    """One parameter that a fold changed.

    Args:
        name: its name in the model.
        is_weight: whether it has two or more axes; else it is a bias or belongs to a batch norm.
        zeroed: entries that were not zero and now are.
        filled: entries that were zero and now are not; only biases.
        shifted: entries that changed otherwise; only biases.
    """

    name: str
    is_weight: bool
    zeroed: int
    filled: int
    shifted: int


@dataclass(frozen=True)
class Folding:
    """What `fold` did to a model.

    Args:
        layers: the layers with constant or unread neurons.
        parameters: the parameters that changed.
        opaque: operations that were not understood; what goes into them is read, what comes out may be anything.
        reason: why nothing could be looked at; None where the model was understood.
    """

    layers: tuple[FoldedLayer, ...] = ()
    parameters: tuple[FoldedParameter, ...] = ()
    opaque: tuple[str, ...] = ()
    reason: str | None = None

    @property
    def constant(self) -> int:
        """Constant neurons of all layers."""
        return sum(layer.constant for layer in self.layers)

    @property
    def unread(self) -> int:
        """Unread neurons of all layers."""
        return sum(layer.unread for layer in self.layers)

    @property
    def weights(self) -> int:
        """Weights that became zero."""
        return sum(p.zeroed for p in self.parameters if p.is_weight)

    @property
    def biases(self) -> int:
        """Biases and numbers of batch norms that became zero."""
        return sum(p.zeroed for p in self.parameters if not p.is_weight)

    @property
    def filled(self) -> int:
        """Biases that were zero and now hold a constant."""
        return sum(p.filled for p in self.parameters)

    def __str__(self) -> str:
        if self.reason is not None:
            return f"not foldable: {self.reason}"
        lines = []
        if self.layers:
            width = max(24, *(len(layer.name) + 2 for layer in self.layers))
            lines.append(f"{'layer':<{width}}{'neurons':>9}{'constant':>10}{'unread':>8}{'left':>6}")
            for s in self.layers:
                lines.append(f"{s.name:<{width}}{s.neurons:>9,}{s.constant:>10,}{s.unread:>8,}{s.left:>6,}")
        if self.parameters:
            more = f"; biases that were zero and now hold a constant: {self.filled:,}" if self.filled else ""
            lines.append(f"{self.weights:,} weights and {self.biases:,} biases became zero{more}")
        else:
            lines.append("nothing to fold")
        if self.opaque:
            lines.append(f"not understood, so left alone: {', '.join(self.opaque)}")
        return "\n".join(lines)
