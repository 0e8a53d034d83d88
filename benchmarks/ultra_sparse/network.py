"""LeNet-5 as its kept weights, trained by a kernel that touches no others."""

from __future__ import annotations

import ctypes
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

WEIGHTS = {"conv1.weight": (20, 25), "conv2.weight": (50, 500), "fc1.weight": (500, 800), "fc2.weight": (10, 500)}
BIASES = ["conv1.bias", "conv2.bias", "fc1.bias", "fc2.bias"]
LANES, SHIFTS, UNSHIFTED = 16, 25, 12
"""Pictures in one vector, shifts by up to two pixels, and the number of the one that does nothing."""


class _Net(ctypes.Structure):
    _fields_ = [
        ("n", ctypes.c_int * 4),
        ("ptr", ctypes.c_void_p * 4),
        ("off", ctypes.c_void_p * 4),
        ("theta", ctypes.c_void_p),
        ("total", ctypes.c_int),
    ]


class _Levels(ctypes.Structure):
    _fields_ = [(name, ctypes.c_void_p) for name in ("group", "most", "scale", "m1", "m2", "latent")]


def kernel() -> ctypes.CDLL:
    """The kernel, compiled for this machine."""
    with tempfile.TemporaryDirectory() as folder:
        target, compiled = Path(folder) / "kernel.so", Path(folder) / "kernel.o"
        source = Path(__file__).with_name("kernel.cpp")
        subprocess.run(["g++", "-Ofast", "-march=native", "-fPIC", "-c", "-o", compiled, source], check=True)
        # Linked without -Ofast, which would make the whole process round subnormal numbers to zero.
        subprocess.run(["g++", "-shared", "-o", target, compiled, "-lm"], check=True)
        library = ctypes.CDLL(str(target))
    library.epoch.restype = ctypes.c_float
    return library


def at(array: np.ndarray | None) -> ctypes.c_void_p | None:
    """The address of an array, which the caller keeps alive."""
    return None if array is None else ctypes.c_void_p(array.ctypes.data)


class SparseLeNet5:
    """The kept weights and the biases in one vector `theta`, with the moments of Adam.

    Args:
        state: the network's state dict; what is not zero is kept.
    """

    def __init__(self, state: Mapping[str, torch.Tensor]) -> None:
        self.state = {n: np.array(v.float().numpy()).reshape(WEIGHTS.get(n, -1)) for n, v in state.items()}
        self.masks = {name: self.state[name] != 0 for name in WEIGHTS}
        self.pack()

    def pack(self) -> None:
        """`theta` and its structure from `state` and `masks`."""
        self.where = {name: np.nonzero(mask) for name, mask in self.masks.items()}
        self.sizes = [len(rows) for rows, _ in self.where.values()]
        self.kept = sum(self.sizes)
        parts = [self.state[name][where] for name, where in self.where.items()] + [self.state[b] for b in BIASES]
        self.theta = np.ascontiguousarray(np.concatenate(parts), dtype=np.float32)
        self.forget()
        self.levels = None
        self._alive, self.c = [], _Net(total=len(self.theta), theta=self.theta.ctypes.data)
        for layer, (name, (rows, columns)) in enumerate(self.where.items()):
            starts = np.searchsorted(rows, np.arange(WEIGHTS[name][0] + 1)).astype(np.int32)
            if layer == 0:
                columns = columns // 5 * 28 + columns % 5
            elif layer == 1:
                columns = columns // 25 * 144 + columns % 25 // 5 * 12 + columns % 5
            offsets = np.ascontiguousarray(columns, dtype=np.int32)
            self._alive += [starts, offsets]
            self.c.n[layer], self.c.ptr[layer], self.c.off[layer] = len(rows), starts.ctypes.data, offsets.ctypes.data

    def forget(self) -> None:
        """Adam begins anew, and everything may move."""
        self.m1, self.m2, self.step = np.zeros_like(self.theta), np.zeros_like(self.theta), 0
        self.free = np.ones_like(self.theta)

    def unpack(self) -> None:
        """`state` from `theta`."""
        values = np.split(self.theta, np.cumsum(self.sizes + [len(self.state[b]) for b in BIASES])[:-1])
        for (name, where), value in zip(self.where.items(), values[:4], strict=True):
            self.state[name] = np.zeros(WEIGHTS[name], np.float32)
            self.state[name][where] = value
        for name, value in zip(BIASES, values[4:], strict=True):
            self.state[name] = value.copy()

    def keep(self, chosen: np.ndarray) -> None:
        """Only the chosen of the kept weights, a bool for each; then what is dead is folded away."""
        self.unpack()
        for (name, (rows, columns)), part in zip(
            self.where.items(), np.split(chosen, np.cumsum(self.sizes)[:-1]), strict=True
        ):
            self.masks[name] = np.zeros(WEIGHTS[name], bool)
            self.masks[name][rows[part], columns[part]] = True
        self._fold()
        self.pack()

    def grow(self, scores: Mapping[str, np.ndarray], count: int) -> None:
        """The `count` pruned weights of the highest score freed, at zero."""
        self.unpack()
        flat = np.concatenate([np.where(self.masks[name], 0.0, scores[name]).ravel() for name in WEIGHTS])
        threshold = max(np.partition(flat, -count)[-count], np.finfo(np.float64).tiny)
        for name in WEIGHTS:
            self.masks[name] |= ~self.masks[name] & (scores[name] >= threshold)
        self.pack()

    def quantize(self, scales: Mapping[str, float], most: int) -> None:
        """From now on training moves latent values and a scale of each tensor, and `theta` is their nearest levels.

        Args:
            scales: by name, at first.
            most: the levels are the scale times plus or minus 1 to `most`; what is zero stays so.
        """
        sizes = [*self.sizes, *(len(self.state[b]) for b in BIASES)]
        arrays = [
            np.repeat(np.arange(8, dtype=np.uint8), sizes),
            np.full(8, most, np.float32),
            np.array([scales[name] for name in [*WEIGHTS, *BIASES]], np.float32),
            np.zeros(8, np.float32),
            np.zeros(8, np.float32),
            self.theta.copy(),
        ]
        self._alive += arrays
        self.levels = _Levels(*(array.ctypes.data for array in arrays))
        self.free[:] = self.theta != 0

    def state_dict(self) -> dict[str, torch.Tensor]:
        """The network's state dict, for `tighten.zoo.LeNet5`."""
        self.unpack()
        shapes = {"conv1.weight": (20, 1, 5, 5), "conv2.weight": (50, 20, 5, 5)}
        return {n: torch.from_numpy(v.copy()).reshape(shapes.get(n, v.shape)) for n, v in self.state.items()}

    def _fold(self) -> None:
        """Neurons without inputs are constants, those without outputs are nothing; until nothing changes."""
        names, before = list(WEIGHTS), -1
        for name in names:
            self.state[name] *= self.masks[name]
        while before != (now := sum(int(mask.sum()) for mask in self.masks.values())):
            before = now
            for name, bias, after, bias_after, taps in zip(
                names, BIASES, names[1:], BIASES[1:], (25, 16, 1), strict=False
            ):
                shape = (-1, len(self.state[bias]), taps)
                outgoing, weights = self.masks[after].reshape(shape), self.state[after].reshape(shape)
                fed, read = self.masks[name].any(1), outgoing.any((0, 2))
                for neuron in np.nonzero(~fed & read)[0]:
                    self.state[bias_after] += max(0.0, self.state[bias][neuron]) * weights[:, neuron].sum(1)
                    outgoing[:, neuron], weights[:, neuron] = False, 0
                self.masks[name][~read], self.state[name][~read] = False, 0
                self.state[bias][~(fed & read)] = 0
