"""Processes that share a tensor, as threads of one process."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch
from torch import Tensor

from tighten.sets.part import Part

T = TypeVar("T")


class Threads:
    """`Parts` over as many threads, which must call the same methods in the same order."""

    device = torch.device("cpu")

    def __init__(self, n: int) -> None:
        self.given: list[Tensor | None] = [None] * n
        self.barrier = threading.Barrier(n, timeout=20)
        self.own = threading.local()
        self.sent = [0] * n

    def _all(self, x: Tensor) -> list[Tensor]:
        self.sent[self.own.rank] += x.numel() * x.element_size()
        self.given[self.own.rank] = x.clone()
        self.barrier.wait()
        found = [g for g in self.given if g is not None]
        self.barrier.wait()
        return found

    def total(self, x: Tensor) -> Tensor:
        return torch.stack(self._all(x)).sum(0)

    def largest(self, x: Tensor) -> Tensor:
        return torch.stack(self._all(x)).amax(0)

    def gathered(self, x: Tensor) -> Tensor:
        return torch.cat(self._all(x))


def split(x: Tensor, n: int, axis: int) -> list[tuple[Tensor, int]]:
    """The parts of `x` and where they begin, as DTensor cuts them: the last ones may be smaller, or empty."""
    size = math.ceil(x.shape[axis] / n)
    starts = [min(rank * size, x.shape[axis]) for rank in range(n)]
    return [(x.narrow(axis, at, min(size, x.shape[axis] - at)), at) for at in starts]


def shared(x: Tensor, n: int, axis: int, work: Callable[[Tensor, Part], T]) -> list[T]:
    """What `work` gives in each of `n` processes that share `x` along an axis."""
    threads = Threads(n)

    def one(rank: int) -> T:
        threads.own.rank = rank
        local, at = split(x, n, axis)[rank]
        start = tuple(at if i == axis else 0 for i in range(x.ndim))
        try:
            return work(local, Part(tuple(x.shape), start, frozenset({axis}), threads))
        except BaseException:
            threads.barrier.abort()
            raise

    with ThreadPoolExecutor(n) as pool:
        futures = [pool.submit(one, rank) for rank in range(n)]
    errors = [f.exception() for f in futures]
    # Who waited for one that failed only says so.
    for error in sorted((e for e in errors if e), key=lambda e: isinstance(e, threading.BrokenBarrierError)):
        raise error
    return [f.result() for f in futures]
