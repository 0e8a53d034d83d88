#!/usr/bin/env python3
"""`tighten` beside everything else that does its job: same dense LeNet-5, epochs, batches and loss.

    python benchmarks/rivals/run.py --data DIR                    all rivals, about five hours on two cores
    python benchmarks/rivals/run.py --data DIR --only nni         one rival; `--list` names them
    python benchmarks/rivals/run.py --data DIR --quick            five minutes: few pictures and epochs, a labelled try

Each rival runs in an environment of its own, which is made on first use. Finished runs are kept as JSON in
results/rivals/, so called again it goes on. Afterwards results/rivals/README.md and table.json hold the tables.
Settings are chosen by validation pictures; no rival sees those or the test pictures.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(HERE), str(HERE.parent)]

import environments  # noqa: E402
import score  # noqa: E402
import start  # noqa: E402
import table  # noqa: E402
from plan import EPOCHS, RIVALS, Choice, Rival, Task, quick_tasks, tasks  # noqa: E402

from tighten.data import ImageData  # noqa: E402
from tighten.engine import checkpoint  # noqa: E402


def carry_out(task: Task, held_out: ImageData, args: argparse.Namespace) -> dict[str, Any]:
    """The result of a task, kept from before or found now; a failure is told in it and tried again next time."""
    path = args.results / f"{task.name}.json"
    if path.exists() and "error" not in (found := json.loads(path.read_text())):
        return dict(found)
    data = task.to_data(args.start, args.threads)
    facts = {
        "rival": task.rival.name,
        "row": task.row.name,
        "seed": task.seed,
        "setting": data["setting"],
        "epochs": task.epochs,
        "quick": args.quick,
    }
    try:
        facts |= trained(task, data, held_out, args)
    except subprocess.CalledProcessError as error:
        facts["error"] = last_line(error.stderr)
    checkpoint.write_json(path, facts)
    print(f"{task.name}: {facts.get('error') or table.said(facts)}", flush=True)
    return facts


def trained(task: Task, data: dict[str, Any], held_out: ImageData, args: argparse.Namespace) -> dict[str, Any]:
    """What the worker told, and the score of its weights."""
    name = task.rival.environment
    python = sys.executable if name is None else str(environments.python_of(name, args.environments))
    file, weights = args.runs / f"{task.name}.json", args.runs / f"{task.name}.pt"
    file.write_text(json.dumps(data))
    command = [python, str(HERE / "worker.py"), str(file), str(weights)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    found = torch.load(weights)
    deepcabac = None if args.deepcabac is None or task.row.kind != "joint" else args.deepcabac
    return {**found["facts"], **score.score(found["state"], task.row.kind, held_out, deepcabac)}


def last_line(text: str | None) -> str:
    """Of what a failed process said."""
    lines = [line.strip() for line in (text or "").splitlines() if line.strip()]
    return lines[-1] if lines else "it failed without a word"


def all_tasks(rivals: list[Rival], choice: Choice, args: argparse.Namespace) -> Iterable[Task]:
    """Those of the whole contest or of the quick one."""
    return quick_tasks(rivals) if args.quick else tasks(rivals, choice, EPOCHS)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder of MNIST")
    parser.add_argument("--only", nargs="+", choices=[rival.name for rival in RIVALS], help="some rivals")
    parser.add_argument("--quick", action="store_true", help="a five-minute try, labelled as such")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--environments", type=Path, default=ROOT / ".venv-rivals", help="where they are made")
    parser.add_argument("--runs", type=Path, help="where the start and weights are kept")
    parser.add_argument("--results", type=Path, help="where JSON and tables are written")
    parser.add_argument("--no-deepcabac", action="store_true", help="leave out that codec and its environment")
    parser.add_argument("--table", action="store_true", help="write the tables from the results at hand, run nothing")
    parser.add_argument("--list", action="store_true", help="name the rivals")
    args = parser.parse_args(arguments)
    if args.list:
        print("\n".join(f"{rival.name:20} {rival.label}" for rival in RIVALS))
        return
    part = "rivals-quick" if args.quick else "rivals"
    args.runs = args.runs or ROOT / "runs" / part
    # A try is no result to keep beside the real ones.
    args.results = args.results or (args.runs / "results" if args.quick else ROOT / "results" / part)
    args.start = args.runs / "start.pt"
    if not args.table:
        everything(args)
    print(table.write(args.results))


def everything(args: argparse.Namespace) -> None:
    """All tasks, one after the other; the tables are written after each."""
    torch.set_num_threads(args.threads)
    args.runs.mkdir(parents=True, exist_ok=True)
    args.results.mkdir(parents=True, exist_ok=True)
    args.deepcabac = None
    if not (args.quick or args.no_deepcabac):
        environments.python_of("deepcabac", args.environments)
        args.deepcabac = args.environments / "deepcabac"
    begun = start.prepare(args.start, args.data, args.quick)
    dense = {key: begun[key] for key in ("accuracy", "validation_accuracy", "precision", "quick")}
    checkpoint.write_json(args.results / table.DENSE, dense)
    held_out, choice = start.held_out(args.data), Choice()
    rivals = [rival for rival in RIVALS if args.only is None or rival.name in args.only]
    for task in all_tasks(rivals, choice, args):
        found = carry_out(task, held_out, args)
        choice.hear(task, found.get("validation_accuracy"))
        table.write(args.results)


if __name__ == "__main__":
    main()
