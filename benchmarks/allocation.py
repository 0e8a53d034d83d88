#!/usr/bin/env python3
"""What the allocation rule is worth: LeNet-5 to 246x, the shipped recipe with each rule, judged on validation data.

    python benchmarks/allocation.py --data DIR [--rules fisher lamp] [--seed 0] [--threads 1]

All runs start from the same dense network and differ in `allocate` only. Resumable; finished runs are kept. Printed
for the last epoch of each stage: training loss (distillation included) and validation accuracy.
"""

import argparse
import json
from pathlib import Path

import torch

from tighten.cli.progress import Progress
from tighten.engine import run
from tighten.recipes import parse, shipped

STAGES = ("admm 71x", "retrain 71x", "admm 246x", "retrain 246x")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("--rules", nargs="+", default=["fisher", "lamp", "magnitude", "uniform"])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    rows = []
    for rule in args.rules:
        text = shipped()["lenet5-mnist"].replace("budget =", f'allocate = "{rule}"\nbudget =')
        folder = args.runs / f"allocation-{rule}-seed{args.seed}"
        if not (folder / "result.json").exists():
            with Progress() as progress:
                run(parse(text, rule), text, folder, root=args.data, seed=args.seed, resume=True, listener=progress)
        result = json.loads((folder / "result.json").read_text())
        ends = {epoch["stage"]: epoch for epoch in result["history"]}
        shares = " / ".join(f"{site['kept']:,}" for site in result["report"]["sites"])
        cells = [f"{ends[stage]['loss']:.3f}, {ends[stage]['accuracy']:.2f} %" for stage in STAGES]
        rows.append(f"| {rule} | {' | '.join(cells)} | {shares} |")
    print(f"| rule | {' | '.join(STAGES)} | shares |\n|{'---|' * (len(STAGES) + 2)}")
    print("\n".join(rows))


if __name__ == "__main__":
    main()
