"""One rival's training in its own environment: `python worker.py TASK.json WEIGHTS.pt`."""

import importlib
import json
import sys
import time
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

HERE = Path(__file__).resolve().parent
# Beside this script lie the methods, above it what they share with other benchmarks.
sys.path[:0] = [str(HERE), str(HERE.parent)]

from lesson import Lesson, detached  # noqa: E402


def carry_out(task: dict[str, Any]) -> dict[str, Any]:
    """The weights that a method ends with, and what they cost.

    Args:
        task: as `plan.Task.to_data` makes it.
    """
    torch.set_num_threads(task["threads"])
    start = torch.load(task["start"])
    lesson = Lesson(start, task["epochs"], task["seed"], start["precision"], **task["distill"])
    method = importlib.import_module(f"methods.{task['method']}")
    before = resident()
    wall, cpu = time.perf_counter(), time.process_time()
    state = detached(method.train(lesson, task["row"], **task["setting"]))
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu - lesson.plain_time()
    if lesson.done != lesson.epochs:
        raise SystemExit(f"{task['method']} trained {lesson.done} of {lesson.epochs} epochs: mend its settings")
    if state.keys() != start["dense"].keys():
        raise SystemExit(f"{task['method']} gives back {list(state)}, not the tensors of the network")
    facts = {
        "versions": versions(["torch", *task["packages"]]),
        "seconds": round(wall, 1),
        "epoch_seconds": round(cpu / lesson.epochs, 3),
        "plain_epoch_seconds": round(sum(lesson.plain_seconds) / len(lesson.plain_seconds), 3),
        "memory_mb": round(told("VmHWM") - before),
        "memory_before_mb": round(before),
        "losses": [round(loss, 5) for loss in lesson.losses],
    }
    return {"state": {name: state[name] for name in start["dense"]}, "facts": facts}


def resident() -> float:
    """The memory that the process holds now, in MB; what Linux counts as the most is counted anew from here."""
    Path("/proc/self/clear_refs").write_text("5")
    return told("VmRSS")


def told(what: str) -> float:
    """A size that Linux tells of this process, in MB."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(what))
    return int(line.split()[1]) / 1024


def versions(packages: list[str]) -> dict[str, str]:
    """Which versions are at work."""
    return {name: metadata.version(name) for name in packages}


if __name__ == "__main__":
    task, weights = Path(sys.argv[1]), Path(sys.argv[2])
    torch.save(carry_out(json.loads(task.read_text())), weights)
