#!/usr/bin/env python3
"""The LeNet-5 results: every shipped MNIST recipe, several seeds, last epoch.

    python benchmarks/lenet5.py --data DIR [--runs runs] [--threads 1]

Each run is `tighten run RECIPE --seed SEED`, resumable; finished ones are kept. Afterwards the `.tight` file and
the JSON of each run lie in results/lenet5/ beside a table of them all.
"""

import argparse
import json
import shutil
import statistics
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent.parent
RESULTS = HERE / "results" / "lenet5"
SEEDS = {
    "lenet5-mnist": (0, 1, 2),
    "lenet5-mnist-binary": (0, 1, 2),
    "lenet5-mnist-joint": (0, 1, 2),
    "lenet5-mnist-ternary": (0, 1, 2),
    "lenet5-mnist-pow2": (0,),
}


def carry_out(recipe: str, seed: int, args: argparse.Namespace) -> None:
    """One run in its own process, unless it is already finished; its results copied."""
    out = args.runs / f"{recipe}-seed{seed}"
    if not (out / "result.json").exists():
        command = [sys.executable, "-m", "tighten", "run", recipe, "--data", args.data, "--out", out]
        subprocess.run(
            [*map(str, command), "--seed", str(seed), "--resume", "--threads", str(args.threads)], check=True
        )
    RESULTS.mkdir(parents=True, exist_ok=True)
    shutil.copy(out / "net.tight", RESULTS / f"{recipe}-seed{seed}.tight")
    # Where the data lay says nothing to others.
    facts = json.loads((out / "result.json").read_text())
    facts["root"] = Path(facts["root"]).name
    (RESULTS / f"{recipe}-seed{seed}.json").write_text(json.dumps(facts, indent=2) + "\n")


def table() -> str:
    """The results at hand as Markdown."""
    lines = [
        "| recipe | seed | dense % | final % | weights kept | rate | positions + values + tables + header | rest |"
        " file | epochs | minutes |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for recipe in SEEDS:
        finals = []
        for path in sorted(RESULTS.glob(f"{recipe}-seed*.json")):
            run = json.loads(path.read_text())
            report, sizes = run["report"], run["report"]["sizes"]
            finals.append(run["accuracy"])
            lines.append(
                f"| `{recipe}` | {run['seed']} | {run['dense_accuracy']:.2f} | **{run['accuracy']:.2f}** "
                f"| {report['kept']:,} | {report['rate']:.1f}x "
                f"| {sizes['total'] - sizes['rest']:,} B | {sizes['rest']:,} B | {sizes['total']:,} B "
                f"| {run['epochs']} | {run['seconds'] / 60:.0f} |"
            )
        if len(finals) > 1:
            spread = f"{statistics.mean(finals):.2f} ± {statistics.stdev(finals):.2f}"
            lines.append(f"| `{recipe}` | mean ± standard deviation | | **{spread}** | | | | | | | |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder of MNIST")
    parser.add_argument("--runs", type=Path, default=HERE / "runs", help="where run folders are kept")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--only", choices=list(SEEDS), help="one recipe")
    parser.add_argument("--seed", type=int, help="one seed")
    parser.add_argument("--table", action="store_true", help="write the table from the results at hand, run nothing")
    args = parser.parse_args()
    for recipe, seeds in SEEDS.items() if not args.table else ():
        for seed in seeds:
            if args.only in (None, recipe) and args.seed in (None, seed):
                carry_out(recipe, seed, args)
    text = (RESULTS / "README.md").read_text() if (RESULTS / "README.md").exists() else "<!-- table -->"
    head = text.split("<!-- table -->")[0]
    (RESULTS / "README.md").write_text(f"{head}<!-- table -->\n{table()}\n")


if __name__ == "__main__":
    main()
