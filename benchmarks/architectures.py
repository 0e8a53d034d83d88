#!/usr/bin/env python3
"""The real architectures under the first budget of their recipes: exact counts, floors, file size, cost of a step.

    python benchmarks/architectures.py [--only resnet18-imagenet ...] [--batch 4] [--steps 3] [--threads 1]

Weights are random and pictures noise, so nothing here says anything of accuracy. A stage of a few steps is carried out
as in training: its projections, its commit and its file are those of the whole network. The cost of a step is
measured beside a bare one in the same run; with batches this small it is far more than in training.
"""

import argparse
import statistics
import time

import torch
import torch.nn.functional as F
from torch import nn

import tighten as tt
from tighten import sites
from tighten.data import shape_of
from tighten.imports import call_named
from tighten.recipes import load

NAMES = [
    "mobilenetv2-imagenet",
    "resnet18-imagenet",
    "vgg16-cifar10",
    "resnet50-imagenet",
    "alexnet-imagenet",
    "vgg16-imagenet",
]


def step(model: nn.Module, optimizer: torch.optim.Optimizer, inputs: torch.Tensor) -> float:
    """Seconds of one training step on noise."""
    start = time.perf_counter()
    loss = F.cross_entropy(model(inputs), torch.arange(len(inputs)))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return time.perf_counter() - start


def row(name: str, args: argparse.Namespace) -> str:
    """One architecture, checked and measured."""
    recipe, _ = load(name)
    torch.manual_seed(0)
    model = call_named(recipe.model, "model").to(memory_format=torch.channels_last)
    first = next(stage for stage in recipe.plan() if stage.budget is not None)
    method = tt.Admm(rho=1e-3, rho_end=1e-1, updates_per_epoch=2)
    stage = tt.Stage(first.sets, method, epochs=1, budget=first.budget, allocate=first.allocate)
    inputs = torch.randn(args.batch, *shape_of(recipe.data)).contiguous(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-4)
    step(model, optimizer, inputs)
    bare = statistics.median(step(model, optimizer, inputs) for _ in range(args.steps))
    session = tt.Session(model, [stage], steps_per_epoch=args.steps)
    active = next(iter(session))
    with active.attached(optimizer) as solver:
        seconds, updates = [], []
        for _ in range(args.steps):
            before = dict(solver.state.dual)
            took = step(model, optimizer, inputs)
            (updates if solver.state.dual != before else seconds).append(took)
    chosen = sites.tensors(model, list(session.codes))
    total, kept = sum(w.numel() for w in chosen.values()), sum(int(w.count_nonzero()) for w in chosen.values())
    if kept != stage.budget.count(total):
        raise SystemExit(f"{name}: {kept:,} of {total:,} weights kept, the budget is {stage.budget.count(total):,}")
    for site, w in chosen.items():
        floor = min(w.numel(), int(0.1 * kept / len(chosen)))
        if int(w.count_nonzero()) < floor:
            raise SystemExit(f"{name}: '{site}' keeps {int(w.count_nonzero()):,} weights, its floor is {floor:,}")
    start = time.perf_counter()
    artifact = session.artifact({"model": recipe.model})
    data = artifact.to_bytes()
    again = tt.Artifact.from_bytes(data).state_dict()
    if not all(torch.equal(value, again[key]) for key, value in model.state_dict().items()):
        raise SystemExit(f"{name}: the file gives other weights back")
    encoding = time.perf_counter() - start
    weights = sum(p.numel() for p in model.parameters() if p.ndim > 1)
    dense = 4 * sum(p.numel() for p in model.parameters())
    plain = f"{statistics.median(seconds) / bare:.2f}x" if seconds else "-"
    update = f"{statistics.median(updates):.1f} s" if updates else "-"
    return (
        f"| {name} | {weights:,} | {total:,} | {kept:,} | {total / kept:.2f}x | {len(data):,} B "
        f"| {dense / len(data):.1f}x | {bare:.2f} s | {plain} | {update} | {encoding:.0f} s |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=NAMES, default=NAMES)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    print("| recipe | weights | constrained | kept | rate | file, float32 | smaller | bare | step | update | coded |")
    print("|---|---|---|---|---|---|---|---|---|---|---|")
    for name in args.only:
        print(row(name, args), flush=True)


if __name__ == "__main__":
    main()
