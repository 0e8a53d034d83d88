"""The results at hand as tables."""

import json
import statistics
from pathlib import Path
from typing import Any

from plan import EPOCHS, RIVALS, ROWS, TUNED, Choice, Rival, Row, Task

from tighten.engine import checkpoint

DENSE = "dense.json"
TABLE = "table.json"
WHY = "\nWhat makes the difference in low-bit rows, and what was tried: docs/decisions/0043 and 0048.\n"
PARTIAL = "**A quick try: few pictures and epochs. It shows that everything works, not who is better.**\n"
HEAD = """\
# Side by side

LeNet-5 on MNIST (430,500 weights), compressed by `tighten` and by others. All start from one dense network and have
the same {epochs} epochs in all, batches of 128 in the same order with the same shifts, and the same loss: that of the
shipped recipe, which learns from the dense network too. All train with Adam. Test accuracy is that of the last epoch;
settings are chosen by validation pictures, among as many as the column says; no rival sees those or the test pictures.
Every network comes back as a plain state dict and is counted, coded and scored by the same code. Batch order and
shifts differ from seed to seed, the dense network does not: {dense:.2f} % test, {validation:.2f} % validation.

Cost is processor time of the whole training for each epoch, over that of plain training timed within the same run, a
few steps before each epoch. Memory is the most that training added to what the process held before it (on Linux). The
committed seconds are of one core of a shared two-core virtual machine, in bf16, with much other work beside: only the
ratios say something. ResNet-20 on CIFAR-10 beside others has a script of its own, `benchmarks/resnet20.py`.

    python benchmarks/rivals/run.py --data DIR
"""


def write(results: Path) -> str:
    """README.md and table.json beside the results; the Markdown."""
    dense = json.loads((results / DENSE).read_text())
    found = {path.stem: json.loads(path.read_text()) for path in sorted(results.glob("*-seed*.json"))}
    epochs = max((facts["epochs"] for facts in found.values()), default=EPOCHS)
    rows = [entry for row in ROWS for rival in RIVALS if (entry := summary(rival, row, found)) is not None]
    failed = {name: facts["error"] for name, facts in found.items() if "error" in facts}
    head = HEAD.format(epochs=epochs, dense=dense["accuracy"], validation=dense["validation_accuracy"])
    parts = [head, PARTIAL if dense["quick"] else completeness(found) + verdict(rows)]
    parts += [markdown(row, [entry for entry in rows if entry["row"] == row.name]) for row in ROWS]
    if failed:
        parts.append("## What did not run\n\n" + "\n".join(f"- `{name}`: {why}" for name, why in failed.items()) + "\n")
    versions = {name: v for facts in found.values() for name, v in facts.get("versions", {}).items()}
    parts.append("Versions: " + ", ".join(f"{name} {v}" for name, v in sorted(versions.items())) + ".\n")
    text = "\n".join(part for part in parts if part)
    checkpoint.write_json(results / TABLE, {"dense": dense, "versions": versions, "rows": rows, "failed": failed})
    (results / "README.md").write_text(text)
    return text


def summary(rival: Rival, row: Row, found: dict[str, dict[str, Any]]) -> dict[str, Any] | None:
    """One line of a table: all seeds of a rival in a row, with the setting chosen so far."""
    if row.kind not in rival.settings:
        return None
    choice, where = Choice(), TUNED.get(row.kind, row)
    for setting in range(len(rival.settings[row.kind])):
        task = Task(rival, where, setting=setting)
        choice.hear(task, found.get(task.name, {}).get("validation_accuracy"))
    setting = choice.of(rival, row)
    runs = [found.get(Task(rival, row, seed, setting).name, {}) for seed in range(row.seeds)]
    runs = [run for run in runs if "accuracy" in run]
    if not runs:
        return None
    accuracies = [run["accuracy"] for run in runs]
    return {
        "row": row.name,
        "rival": rival.name,
        "label": rival.label,
        "setting": runs[0]["setting"],
        "settings_tried": max(1, len(choice.tried(rival, row))),
        "seeds": [run["seed"] for run in runs],
        "seeds_wanted": row.seeds,
        "epochs": runs[0]["epochs"],
        "accuracy": round(statistics.mean(accuracies), 3),
        "spread": round(statistics.stdev(accuracies), 3) if len(accuracies) > 1 else None,
        "lowest": min(accuracies),
        "validation_accuracy": round(statistics.mean(run["validation_accuracy"] for run in runs), 3),
        "kept": round(statistics.mean(run["kept"] for run in runs)),
        "rate": round(statistics.mean(run["rate"] for run in runs), 1),
        "weight_bytes": runs[0]["weight_bytes"],
        "file_bytes": runs[0]["file_bytes"],
        "epoch_seconds": round(statistics.mean(run["epoch_seconds"] for run in runs), 2),
        "cost": round(statistics.mean(run["epoch_seconds"] / run["plain_epoch_seconds"] for run in runs), 3),
        "memory_mb": max(run["memory_mb"] for run in runs),
    }


def markdown(row: Row, entries: list[dict[str, Any]]) -> str:
    """One table, best first."""
    if not entries:
        return ""
    lines = [
        f"## {title(row)}\n",
        "| method | test % | seeds | validation % | weights kept | rate | weights: ours | zlib | DeepCABAC "
        "| settings tried | epoch | memory |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for entry in sorted(entries, key=lambda entry: -entry["accuracy"]):
        spread = "" if entry["spread"] is None else f" ± {entry['spread']:.2f}"
        sizes = [entry["weight_bytes"].get(code) for code in ("ours", "zlib", "DeepCABAC")]
        told = " | ".join("" if size is None else f"{size:,} B" for size in sizes)
        lines.append(
            f"| {entry['label']} | **{entry['accuracy']:.2f}**{spread} | {len(entry['seeds'])} "
            f"| {entry['validation_accuracy']:.2f} | {entry['kept']:,} | {entry['rate']:.1f}x | {told} "
            f"| {entry['settings_tried']} | {entry['epoch_seconds']:.1f} s, {entry['cost']:.2f}x "
            f"| {entry['memory_mb']:,} MB |"
        )
    return "\n".join(lines) + "\n"


def title(row: Row) -> str:
    """Of a table."""
    if row.kind == "pruned":
        return f"Pruned {row.name}"
    return {"joint": f"Pruned {row.rate:g}x and quantized", "binary": "All layers binary"}.get(
        row.kind, "All layers ternary"
    )


def verdict(rows: list[dict[str, Any]]) -> str:
    """Where `tighten` is not ahead of everyone by more than the spread of the two."""
    lines = []
    for ours in (entry for entry in rows if entry["rival"] == RIVALS[0].name):
        others = [entry for entry in rows if entry["row"] == ours["row"] and entry is not ours]
        for entry in sorted(others, key=lambda entry: -entry["accuracy"]):
            ahead = ours["accuracy"] - entry["accuracy"]
            spread = max(ours["spread"] or 0, entry["spread"] or 0)
            if ahead <= spread:
                told = f"{-ahead:.2f} points ahead" if ahead < 0 else f"{ahead:.2f} points behind"
                bytes_taken = entry["weight_bytes"]["ours"] / ours["weight_bytes"]["ours"]
                lines.append(
                    f"- {ours['row']}: {entry['label']} is {told} with {bytes_taken:.2f}x the bytes; "
                    f"the spread {known(spread)}"
                )
    if not lines:
        return ""
    why = WHY if any(line.startswith(("- binary", "- ternary")) for line in lines) else ""
    return "\nWhere `tighten` is not ahead by more than the spread:\n\n" + "\n".join(lines) + "\n" + why


def known(spread: float) -> str:
    """Of seeds, in words."""
    return f"of seeds is {spread:.2f}" if spread else "is unknown, there is one seed"


def completeness(found: dict[str, Any]) -> str:
    """How much of the contest has been carried out, failures included."""
    wanted, there = 0, sum("error" in facts for facts in found.values())
    for row in ROWS:
        for rival in RIVALS:
            if row.kind in rival.settings:
                entry = summary(rival, row, found)
                others = len(rival.settings[row.kind]) - 1 if row == TUNED.get(row.kind) else 0
                wanted += row.seeds + others
                there += 0 if entry is None else len(entry["seeds"]) + min(others, entry["settings_tried"] - 1)
    if there == wanted:
        return ""
    return f"**Incomplete: {there} of {wanted} trainings are done or have failed; the same command does the others.**\n"


def said(facts: dict[str, Any]) -> str:
    """A result in a few words."""
    return (
        f"test {facts['accuracy']:.2f} %, {facts['kept']:,} weights, {facts['file_bytes']:,} B, "
        f"epoch {facts['epoch_seconds'] / facts['plain_epoch_seconds']:.2f}x plain"
    )
