"""Brute force for tiny tensors: every support, every assignment of entries to levels."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

Fall = Callable[[Tensor], float]
"""How far sum x^2 can fall for a vector `x` whose entries must all take levels."""


def scaled(steps: Sequence[float]) -> Fall:
    """Levels q * steps with a free q > 0: all assignments, each with its least-squares q."""

    def fall(x: Tensor) -> float:
        if not len(x):
            return 0.0
        chosen = torch.tensor(list(itertools.product(steps, repeat=len(x))), dtype=torch.float64)
        a, b = (chosen @ x).clamp_min(0), chosen.square().sum(1)
        return float(torch.where(b > 0, a.square() / b, 0.0).max())

    return fall


def given(levels: Sequence[float]) -> Fall:
    """A fixed table."""

    def fall(x: Tensor) -> float:
        return sum(max(2 * v * level - level**2 for level in levels) for v in x.tolist())

    return fall


def powers(steps: Sequence[float]) -> Fall:
    """Levels 2^k * steps: all k that a test can need."""

    def fall(x: Tensor) -> float:
        return max(0.0, *(given([2.0**k * step for step in steps])(x) for k in range(-12, 13)))

    return fall


def free(levels: int, zero: bool = False) -> Fall:
    """Any table of so many levels, and zero: all assignments, each with its means."""

    def fall(x: Tensor) -> float:
        best = 0.0 if zero or not len(x) else -torch.inf
        names = range(levels + 1) if zero else range(1, levels + 1)
        for chosen in itertools.product(names, repeat=len(x)):
            groups = [x[[i for i, c in enumerate(chosen) if c == name]] for name in range(1, levels + 1)]
            best = max(best, sum(float(g.sum() ** 2) / len(g) for g in groups if len(g)))
        return best

    return fall


def by_row(fall: Fall) -> Callable[[Tensor, Tensor], float]:
    """One table per row of a matrix, on the entries of a support."""
    return lambda x, support: sum(fall(row[kept]) for row, kept in zip(x, support, strict=True))


def for_all(fall: Fall) -> Callable[[Tensor, Tensor], float]:
    """One table for all entries of a support."""
    return lambda x, support: fall(x[support])


def supports(units: Tensor, allowed: Callable[[Tensor], bool]) -> Iterator[Tensor]:
    """All supports made of numbered units, such as `[[0, 0, 1, 1]]`, that are allowed."""
    count = int(units.max()) + 1
    for kept in itertools.product((False, True), repeat=count):
        if allowed(torch.tensor(kept)):
            yield torch.tensor(kept)[units]


def draws(shape: tuple[int, ...], count: int, seed: int = 0) -> Iterator[Tensor]:
    """Random tensors, a third of them with many ties and zeros, a third with heavy tails."""
    generator = torch.Generator().manual_seed(seed)
    for number in range(count):
        x = torch.randn(shape, generator=generator, dtype=torch.float64)
        yield (x, (2 * x).round() / 2, x**3)[number % 3]
