"""Training and measuring of a `SparseLeNet5`."""

from __future__ import annotations

import ctypes
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from network import BIASES, LANES, SHIFTS, UNSHIFTED, WEIGHTS, SparseLeNet5, at, kernel

from tighten.data import mnist
from tighten.zoo import LeNet5

MEAN, DEVIATION = 0.1307, 0.3081


@dataclass
class Lesson:
    """Pictures, the dense network's outputs on all their shifts, and the loss.

    Args:
        data: as bytes, `[N, 784]`, and their classes, of training, validation and test pictures.
        teacher: `[N, 25, 10]`, the dense network's outputs; NaN for shifts that are not used.
        temperature, weight: of distillation.
        shift: pixels by which training pictures are moved.
        batch: pictures in a step, a multiple of 16.
    """

    data: dict[str, tuple[np.ndarray, np.ndarray]]
    teacher: np.ndarray
    random: np.random.Generator
    temperature: float = 2.0
    weight: float = 0.7
    shift: int = 1
    batch: int = 128

    def __post_init__(self) -> None:
        self.kernel = kernel()

    def order(self, count: int) -> tuple[np.ndarray, np.ndarray]:
        """`count` training pictures in random order and the number of a random shift for each."""
        chosen = self.random.permutation(len(self.data["train"][0]))[:count].astype(np.int32)
        dy, dx = self.random.integers(-self.shift, self.shift + 1, (2, count))
        return chosen, (UNSHIFTED + 5 * dy + dx).astype(np.int32)

    def train(self, net: SparseLeNet5, epochs: int, rate: float, *, fall: bool = False) -> float:
        """Epochs of Adam; the loss of the last one.

        Args:
            net: what is trained.
            epochs: passes over the data.
            rate: the learning rate.
            fall: whether it falls to nothing along a cosine.
        """
        pictures, classes = self.data["train"]
        steps, loss = len(pictures) // self.batch, math.nan
        for epoch in range(epochs):
            order, shifts = self.order(len(pictures))
            progress = (np.arange(steps) + epoch * steps) / (epochs * steps)
            rates = rate * (0.5 + 0.5 * np.cos(np.pi * progress) if fall else np.ones(steps))
            rates = rates.astype(np.float32)
            loss = self.kernel.epoch(
                ctypes.byref(net.c), at(pictures), at(classes), at(order), at(shifts), steps * self.batch, self.batch,
                at(self.teacher), ctypes.c_float(self.temperature), ctypes.c_float(self.weight), at(net.m1), at(net.m2),
                ctypes.c_long(net.step), at(rates), at(net.free), net.levels and ctypes.byref(net.levels),
            )  # fmt: skip
            net.step += steps
        return float(loss)

    def gradients(self, net: SparseLeNet5, count: int) -> np.ndarray:
        """`[count, len(theta)]`, the gradient of the loss of single training pictures."""
        order, shifts = self.order(count)
        out = np.empty((count, len(net.theta)), np.float32)
        self.kernel.examples(
            ctypes.byref(net.c), at(self.data["train"][0]), at(self.data["train"][1]), at(order), at(shifts), count,
            at(self.teacher), ctypes.c_float(self.temperature), ctypes.c_float(self.weight), at(out),
        )  # fmt: skip
        return out

    def accuracy(self, net: SparseLeNet5, part: str) -> float:
        """Percent right of the validation or test pictures."""
        pictures, classes = self.data[part]
        count = -(-len(pictures) // LANES) * LANES
        padded = np.zeros((count, 784), np.uint8)
        padded[: len(pictures)] = pictures
        out = np.empty((count, 10), np.float32)
        self.kernel.outputs(ctypes.byref(net.c), at(padded), count, at(out))
        return 100 * float((out[: len(pictures)].argmax(1) == classes).mean())

    def wishes(self, net: SparseLeNet5, batches: int = 48) -> dict[str, np.ndarray]:
        """For every weight, kept or not, mean(g)^2 / var(g) of its gradients over some batches."""
        model = LeNet5()
        model.load_state_dict(net.state_dict())
        weights = [model.get_parameter(name) for name in WEIGHTS]
        order, shifts = self.order(batches * self.batch)
        pictures = F.pad(as_floats(self.data["train"][0][order]), (2, 2, 2, 2), value=-MEAN / DEVIATION)
        classes = torch.from_numpy(self.data["train"][1][order].astype(np.int64))
        wanted = torch.from_numpy(self.teacher[order, shifts])
        sums = [torch.zeros_like(w) for w in weights]
        squares = [torch.zeros_like(w) for w in weights]
        for part in range(0, len(order), self.batch):
            inside = slice(part, part + self.batch)
            moved = [
                p[:, s // 5 : s // 5 + 28, s % 5 : s % 5 + 28]
                for p, s in zip(pictures[inside], shifts[inside], strict=True)
            ]
            out = model(torch.stack(moved))
            t = self.temperature
            soft = F.kl_div(
                F.log_softmax(out / t, 1), F.log_softmax(wanted[inside] / t, 1), log_target=True, reduction="batchmean"
            )
            loss = (1 - self.weight) * F.cross_entropy(out, classes[inside]) + self.weight * t * t * soft
            for s, q, g in zip(sums, squares, torch.autograd.grad(loss, weights), strict=True):
                s += g
                q += g.square()
        found = {}
        for name, s, q in zip(WEIGHTS, sums, squares, strict=True):
            mean = s / batches
            variance = (q / batches - mean.square()).clamp_min(0)
            score = mean.square() / (variance + 1e-3 * variance.max() + 1e-12)
            found[name] = score.detach().double().numpy().reshape(WEIGHTS[name])
        return found


def as_floats(pictures: np.ndarray) -> torch.Tensor:
    """`[N, 1, 28, 28]`, normalised as the dense network was trained."""
    return (torch.from_numpy(pictures).float().view(-1, 1, 28, 28) / 255 - MEAN) / DEVIATION


@torch.no_grad()
def lesson(root: Path, seed: int, dense: LeNet5) -> Lesson:
    """The pictures, with this seed's validation split, and what the dense network says of them."""
    data = mnist(root, seed=seed)
    parts = {}
    for part in ("train", "validation", "test"):
        of = getattr(data, part)
        pixels = ((of.inputs * DEVIATION + MEAN) * 255).round().to(torch.uint8)
        parts[part] = (np.ascontiguousarray(pixels.flatten(1).numpy()), of.targets.numpy().astype(np.uint8))
    pictures = parts["train"][0]
    teacher = np.full((len(pictures), SHIFTS, 10), np.nan, np.float32)
    used = [s for s in range(SHIFTS) if max(abs(s // 5 - 2), abs(s % 5 - 2)) <= Lesson.shift]
    dense.eval()
    for start in range(0, len(pictures), 500):
        padded = F.pad(as_floats(pictures[start : start + 500]), (2, 2, 2, 2), value=-MEAN / DEVIATION)
        for s in used:
            moved = padded[:, :, s // 5 : s // 5 + 28, s % 5 : s % 5 + 28]
            teacher[start : start + 500, s] = dense(moved.contiguous()).numpy()
    return Lesson(parts, teacher, np.random.default_rng(seed))


__all__ = ["BIASES", "Lesson", "SparseLeNet5", "lesson"]
