#!/usr/bin/env python3
"""What an attached optimizer step costs beside a plain one, and the memory of ADMM beside the weights.

    python benchmarks/step_cost.py [--threads 1] [--steps 20] [--model lenet5 resnet18] [--json FILE]

A step is forward, backward and Adam on random pictures, batch 64: LeNet-5 on 28 x 28, torchvision's ResNet-18
on 224 x 224; the stage is ADMM with a budget for all weights, or straight-through training of ternary ones. What is
added is timed in the very steps it is added to, in time of the processor, so that other programs count less. The
update of Z (two an epoch) is told apart.
Memory counts every tensor that a stage holds.
"""

import argparse
import gc
import json
import time
from pathlib import Path

import torch
from torch import nn

import tighten as tt
from tighten.engine.provenance import processor
from tighten.torchvision_ops import import_torchvision
from tighten.zoo import LeNet5

BATCH = 64


def made(name: str) -> tuple[nn.Module, torch.Tensor, int]:
    torch.manual_seed(0)
    if name == "lenet5":
        return LeNet5(), torch.randn(BATCH, 1, 28, 28), 10
    return import_torchvision().models.resnet18(), torch.randn(BATCH, 3, 224, 224), 1000


def stages(kind: str) -> list[tt.Stage]:
    if kind == "prune":
        return [tt.Stage({"*": tt.Sparse()}, tt.Admm(), 1, budget=tt.Budget(rate=30))]
    if kind == "straight-through":
        return [tt.Stage({"*": tt.Ternary()}, tt.StraightThrough(), 1)]
    return [tt.Stage({"*": tt.Uniform(bits=4)}, tt.Admm(), 1)]


def costs(name: str, kind: str, steps: int) -> dict[str, float]:
    model, x, classes = made(name)
    y = torch.randint(classes, (BATCH,))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-5)
    # The update comes after the timed steps.
    stage = next(iter(tt.Session(model, stages(kind), steps_per_epoch=2 * (steps + 4))))
    plain, added = [], []
    for step in range(steps + 4):
        start = time.process_time()
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        ready = time.process_time()
        stage.before_step(optimizer)
        pulled = time.process_time()
        optimizer.step()
        moved = time.process_time()
        stage.after_step(optimizer)
        held = time.process_time()
        if step >= 3 and step < steps + 3:
            plain.append(ready - start + moved - pulled)
            added.append(pulled - ready + held - moved)
    ratio = 1 + sum(added) / sum(plain)
    mean = sum(plain) / steps
    update = (held - moved) / mean
    print(
        f"{name}, {kind}: an attached step takes {ratio:.3f}x a plain one of {1e3 * mean:.0f} ms; "
        f"an update takes {update:.2f} plain steps",
        flush=True,
    )
    return {"step": round(ratio, 4), "plain_seconds": round(mean, 4), "update_in_plain_steps": round(update, 3)}


def storages() -> dict[int, int]:
    found = [o for o in gc.get_objects() if issubclass(type(o), torch.Tensor)]
    return {t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in found}


def memory(name: str, kind: str, density: int | None = None) -> dict[str, float]:
    model, _, _ = made(name)
    weights = sum(4 * p.numel() for p in model.parameters() if p.ndim > 1)
    plan = stages(kind) if density is None else [tt.Stage({"*": tt.Sparse(density=1 / density)}, tt.Admm(), 1)]
    gc.collect()
    before = storages()
    stage = next(iter(tt.Session(model, plan, steps_per_epoch=4)))
    gc.collect()
    more = sum(size for where, size in storages().items() if where not in before)
    what = kind if density is None else f"{kind} to 1/{density}"
    print(f"{name}, {what}: {more / weights:.3f}x the weights' bytes beside them ({stage})", flush=True)
    return {f"memory, {what}": round(more / weights, 4)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--model", nargs="+", default=["lenet5", "resnet18"], choices=["lenet5", "resnet18"])
    parser.add_argument("--json", type=Path, help="where the figures are written, too")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    found = {}
    for name in args.model:
        found[name] = {
            **memory(name, "prune", 4),
            **memory(name, "prune"),
            **memory(name, "quantize"),
            **costs(name, "prune", args.steps),
            "straight-through": costs(name, "straight-through", args.steps),
        }
    if args.json is not None:
        facts = {"torch": torch.__version__, "processor": processor(), "threads": args.threads, "steps": args.steps}
        args.json.write_text(json.dumps({**facts, "models": found}, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
