"""The smaller network, and how it lies in the full one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from tighten.errors import PlanError


@dataclass(frozen=True)
class CompactLayer:
    """One linear or convolution layer.

    Args:
        name: the module's name.
        before: its neurons (output features or channels) in the full network.
        after: and in the small one.
        inputs_before: what each of them could read.
        inputs_after: and can read now.
        idle: of those that are left, the inputs that no neuron of this layer has a weight for. They stay because
            something else reads them, or because they come from the input of the network. 0 for convolutions in groups.
    """

    name: str
    before: int
    after: int
    inputs_before: int
    inputs_after: int
    idle: int


@dataclass(frozen=True, eq=False)
class Compact:
    """What `compact` made.

    Args:
        model: the small network: the class and the names of the full one, with smaller tensors.
        layers: the linear and convolution layers.
        parameters_before: of the full network, zeros included.
        parameters_after: of the small one.
        macs_before: dense multiply-accumulates of the full network for one example.
        macs_after: of the small one.
        indices: for each parameter and buffer, where its entries lie in the full one: flat places, in its shape.
        full: the state dict of the full network, folded; it computes the same.
        notes: what stayed though nothing depends on it, and why.
    """

    model: nn.Module
    layers: tuple[CompactLayer, ...]
    parameters_before: int
    parameters_after: int
    macs_before: int
    macs_after: int
    indices: dict[str, Tensor]
    full: dict[str, Tensor]
    notes: tuple[str, ...]

    def expanded(self, small: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The state dict of the full network that computes what the small one does with the state `small`.

        Everything that was removed has its value in `full`, which is zero but for parts of batch norms. So the small
        network can be trained instead of the full one, and its weights put back in place: exactly, entry by entry.

        Args:
            small: the state dict of `model`, after training for instance.

        Raises:
            PlanError: it is the state of another network.
        """
        if (other := set(small) ^ set(self.full)) != set():
            raise PlanError(f"'{min(other)}' is not in both networks: give the state dict of this small network")
        state = {name: value.clone() for name, value in self.full.items()}
        for name, value in small.items():
            places = self.indices[name]
            if value.shape != places.shape:
                raise PlanError(
                    f"'{name}' has shape {list(value.shape)}, not {list(places.shape)}: "
                    "give the state dict of this small network"
                )
            # Not by reshape, which would copy where the tensor is not contiguous.
            flat = state[name].flatten()
            flat[places.flatten()] = value.detach().flatten().to(flat)
            state[name] = flat.reshape(state[name].shape)
        return state

    def __str__(self) -> str:
        width = max(24, *(len(layer.name) + 2 for layer in self.layers))
        lines = [f"{'layer':<{width}}{'neurons':>16}{'inputs':>16}{'idle inputs':>13}"]
        for s in self.layers:
            neurons, inputs = f"{s.before:,} -> {s.after:,}", f"{s.inputs_before:,} -> {s.inputs_after:,}"
            lines.append(f"{s.name:<{width}}{neurons:>16}{inputs:>16}{s.idle:>13,}")
        lines.append(_change("parameters", self.parameters_before, self.parameters_after))
        lines.append(_change("multiply-accumulates", self.macs_before, self.macs_after))
        return "\n".join([*lines, *self.notes])


def _change(what: str, before: int, after: int) -> str:
    return f"{what}: {before:,} -> {after:,} ({before / max(after, 1):.2f}x fewer)"
