#!/usr/bin/env python3
"""What each part of a pruning step is worth: the same walk to one rate with one setting changed at a time.

    python benchmarks/ablation.py [--recipe digits] [--data DIR] [--rate 40] [--seeds 0 1 2 3 4] [--threads 1]

Every variant starts from the same dense network of its seed and goes to the same rate, no gate in the way. Printed:
mean and standard deviation over seeds at the last epoch, and the mean of the paired differences to the base in
validation accuracy. Resumable; finished walks are kept.
"""

import argparse
import json
import statistics
from pathlib import Path

import torch

from tighten.allocation import Budget
from tighten.cli.progress import Progress
from tighten.engine import Way, shrink
from tighten.recipes import load
from tighten.search import Gate

VARIANTS: dict[str, dict[str, object]] = {
    "base": {},
    "no distillation": {"distill": None},
    "temperature 2, weight 0.7": {"distill": {"temperature": 2.0, "weight": 0.7}},
    "regrowth": {"regrow": True},
    "average of the last quarter": {"average": 0.25},
    "retraining at half the rate": {"retrain_learning_rate": 2e-3},
    "stop ADMM at residual 0.1": {"until": 0.1},
    "rho to 0.05 only": {"rho_end": 0.05},
    "rho to 1": {"rho_end": 1.0},
    "one step": {"part": 1.0},
    "more steps": {"part": 0.4},
    "shares by LAMP": {"rule": "lamp"},
    "four times the retraining": {"retrain": 48},
    "four times the retraining, 12 cycles of exchange": {"retrain": 48, "cycles": 12},
}


def walk(recipe: str, name: str, seed: int, args: argparse.Namespace) -> tuple[Way, float]:
    """One walk, carried out or found, and the training loss of its last epoch."""
    loaded, text = load(recipe)
    settings = loaded.shrink.model_dump() | VARIANTS[name]
    changed = type(loaded).model_validate({**loaded.model_dump(), "shrink": settings})
    out = args.runs / f"ablation-{loaded.name}-{args.rate:g}x" / f"{name.replace(' ', '-').replace(',', '')}-seed{seed}"
    goal, said = Budget(rate=args.rate), f"# {json.dumps(VARIANTS[name])}\n{text}"
    with Progress() as progress:
        way = shrink(
            changed, said, out, Gate(accuracy=0.0), goal=goal, root=args.data, seed=seed, resume=True, listener=progress
        )
    history = json.loads((out / way.best / "result.json").read_text())["history"]
    return way, history[-1]["loss"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", default="digits")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("--rate", type=float, default=40.0)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--only", nargs="+", choices=list(VARIANTS), default=list(VARIANTS))
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    rows, base = [], {}
    for name in args.only:
        walks = {seed: walk(args.recipe, name, seed, args) for seed in args.seeds}
        found = {seed: way.steps[-1].accuracy for seed, (way, _) in walks.items()}
        base = base or found
        cells = [
            _spread([loss for _, loss in walks.values()], 3),
            _spread(list(found.values()), 2),
            f"{statistics.mean(found[s] - base[s] for s in args.seeds):+.2f}",
            _spread([way.steps[-1].test_accuracy for way, _ in walks.values()], 2),
            f"{statistics.mean(len(way.steps) for way, _ in walks.values()):.1f}",
            f"{statistics.mean(way.epochs for way, _ in walks.values()):.0f}",
        ]
        rows.append(f"| {name} | {' | '.join(cells)} |")
    print("| variant | training loss | validation % | against base | test % | steps | epochs |")
    print("|---|---|---|---|---|---|---|")
    print("\n".join(rows))


def _spread(values: list[float], digits: int) -> str:
    mean = f"{statistics.mean(values):.{digits}f}"
    return mean if len(values) < 2 else f"{mean} ± {statistics.stdev(values):.{digits}f}"


if __name__ == "__main__":
    main()
