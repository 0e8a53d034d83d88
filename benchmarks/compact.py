#!/usr/bin/env python3
"""What removing dead neurons gains: the full and the small LeNet-5, side by side in one run.

    python benchmarks/compact.py [--threads 1] [--rounds 7]

Of two files in `results/lenet5/`: the network pruned 246x and the one pruned 206x with 3 bits. Each round times the
full and the small network in turn, so that the ratios hold when the machine's speed drifts; the median counts. A
training step is forward, backward and one step of Adam on random pictures, nothing constrained.
"""

import argparse
import copy
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

import tighten as tt
from tighten.zoo import LeNet5

RESULTS = Path(__file__).parents[1] / "results" / "lenet5"
FILES = ("lenet5-mnist-seed0", "lenet5-mnist-joint-seed0")
SECONDS = 0.3
"""How long each timing takes, about."""


def inference(model: nn.Module, batch: int) -> Callable[[], None]:
    """One forward pass."""
    x = torch.randn(batch, 1, 28, 28)

    def work() -> None:
        with torch.inference_mode():
            model(x)

    return work


def training(model: nn.Module, batch: int) -> Callable[[], None]:
    """One training step."""
    model = copy.deepcopy(model).train().requires_grad_(True)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-5)
    x, y = torch.randn(batch, 1, 28, 28), torch.randint(10, (batch,))

    def work() -> None:
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        optimizer.step()

    return work


def seconds(work: Callable[[], None], times: int) -> float:
    """Of one call."""
    start = time.perf_counter()
    for _ in range(times):
        work()
    return (time.perf_counter() - start) / times


def compared(full: Callable[[], None], small: Callable[[], None], rounds: int) -> tuple[float, float, list[float]]:
    """Median seconds of both, and the ratio in each round."""
    times = max(1, int(SECONDS / seconds(full, 3)))
    pairs = [(seconds(full, times), seconds(small, times)) for _ in range(rounds + 1)][1:]
    a, b = (statistics.median(side) for side in zip(*pairs, strict=True))
    return a, b, sorted(x / y for x, y in pairs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=7)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    for name in FILES:
        full = LeNet5()
        tt.load(RESULTS / f"{name}.tight", full)
        small = tt.compact(full.eval(), torch.zeros(1, 1, 28, 28))
        print(f"{name}, {args.threads} thread(s)\n{small}")
        for what, work, batch in (
            ("inference", inference, 1),
            ("inference", inference, 64),
            ("training step", training, 128),
        ):
            a, b, ratios = compared(work(full, batch), work(small.model, batch), args.rounds)
            print(
                f"{what}, batch {batch}: {a * 1e6:,.0f} -> {b * 1e6:,.0f} microseconds, "
                f"{statistics.median(ratios):.2f}x faster ({ratios[0]:.2f} to {ratios[-1]:.2f})"
            )
        print()


if __name__ == "__main__":
    main()
