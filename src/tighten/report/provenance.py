"""Where a run comes from, and the commands that do it again and hold its file to its promises."""

from __future__ import annotations

import json
import shlex
from typing import Any

from tighten.report.reading import Run, Shrunk


def facts(found: Run | Shrunk, last: Run | None) -> list[tuple[str, str]]:
    """What is known of where and with what it was made, as pairs of a word and what it is.

    Args:
        found: what the report is of.
        last: the run itself, or that of the best step.
    """
    if last is None:
        return [("folder", str(found.folder))]
    r = last.result
    seconds = sum(s.seconds for s in found.way.steps) if isinstance(found, Shrunk) else r.seconds
    versions = (("tighten", r.tighten), ("torch", r.torch), ("numpy", r.numpy), ("Python", r.python))
    every = {
        "recipe": r.recipe,
        "seed": str(r.seed),
        "finished": r.finished,
        "training": f"{seconds:.0f} s after the dense network, {r.precision or 'fp32'}",
        "machine": " ".join(word for word in (r.system, r.machine, r.processor) if word),
        "threads": str(r.threads) if r.threads else "",
        "versions": ", ".join(f"{name} {number}" for name, number in versions if number),
        "commit": r.commit or "",
        "data": r.root or "",
        "weights": r.weights or "",
        "folder": str(found.folder),
    }
    return [(word, value) for word, value in every.items() if value]


def commands(found: Run | Shrunk, last: Run | None) -> list[tuple[str, str]]:
    """What they do, and what to type; folders are named as they are seen from where the report was made."""
    given = ["--data", last.result.root] if last is not None and last.result.root else []
    weights = ["--weights", last.result.weights] if last is not None and last.result.weights else []
    folder = found.folder
    if isinstance(found, Run):
        name, what, more = "recipe.toml", "run", ["--seed", str(found.result.seed)]
        more += [] if found.result.effort == 1 else ["--effort", f"{found.result.effort:g}"]
    else:
        name, what, more = "shrink.toml", "shrink", _asked(found.recipe)
    again = folder.with_name(f"{folder.name}-again")
    typed = [("Again, in a new folder", [what, str(folder / name), *more, *given, *weights, "--out", str(again)])]
    file = folder / "net.tight"
    if file.exists():
        typed.append(("The file held to its promises", ["verify", str(file), *given, *_named(last)]))
    typed.append(("This page drawn again", ["report", str(folder)]))
    return [(does, shlex.join(["tighten", *words])) for does, words in typed]


def _named(last: Run | None) -> list[str]:
    """Code that a file names is only run where it is named again."""
    meta = last.artifact.meta if last is not None else {}
    asked = (("--model", meta.get("model"), "tighten.zoo:"), ("--source", meta.get("data"), "tighten.data:"))
    foreign = [(option, path) for option, path, ours in asked if isinstance(path, str) and not path.startswith(ours)]
    return [word for pair in foreign for word in pair]


def _asked(recipe: str) -> list[str]:
    """The options of a shrink, from the first line of the text that its folder belongs to."""
    line = recipe.partition("\n")[0].removeprefix("#")
    try:
        asked: Any = json.loads(line)
        seed, gate, goal, bits = asked["seed"], asked["gate"], asked["goal"] or {}, asked["bits"]
        options = {
            "--drop": gate["drop"],
            "--accuracy": gate["accuracy"],
            "--rate": goal.get("rate"),
            "--kept": goal.get("weights"),
            "--bytes": goal.get("bytes"),
            "--value-bits": bits,
            "--seed": seed,
        }
    except (ValueError, KeyError, TypeError, AttributeError):
        return []
    return [word for option, value in options.items() if value is not None for word in (option, str(value))]
