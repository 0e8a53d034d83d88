"""A card for each shipped recipe, and the table of the first page: made from the recipes and `results/`, never typed.

A result is a `result.json` of a run that was kept under `results/`, whatever its name and folder. One with other epochs
than the recipe's was made with other settings: it is shown apart, and counts in no mean. A recipe of which there is
none gets a card that says so.
"""

import json
import statistics
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
RECIPES = ROOT / "src" / "tighten" / "recipes"
SECTION, TABLE = "Cards", "<!-- results -->"
NOT_MEASURED = "not measured here"

Result = dict[str, Any]


def recipes(folder: Path = RECIPES) -> dict[str, str]:
    """The text of each recipe, by name."""
    return {path.stem: path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.toml"))}


def results(folder: Path = ROOT / "results") -> dict[str, list[Result]]:
    """What was measured, by recipe, in the order of the seeds."""
    found: dict[str, list[Result]] = {}
    for path in sorted(folder.rglob("*.json")):
        data = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(data, dict) and {"recipe", "seed", "accuracy", "report"} <= data.keys():
            found.setdefault(data["recipe"], []).append(data)
    return {name: sorted(runs, key=lambda run: run["seed"]) for name, runs in found.items()}


def card(name: str, text: str, runs: list[Result]) -> str:
    """The page of one recipe."""
    recipe = tomllib.loads(text)
    own, others = split(recipe, runs)
    lines = [f"# {name}", "", recipe.get("summary", ""), "", "```shell", command(name, recipe), "```", ""]
    lines += ["## Measured", "", *(measured(own) if own else [f"This recipe was {NOT_MEASURED}.", ""])]
    if others:
        lines += ["With other settings than those below:", "", *rows(others), "", f"Minutes {hardware(others)}.", ""]
    lines += ["## The recipe", "", "```toml", text.strip(), "```", ""]
    return "\n".join(lines)


def command(name: str, recipe: dict[str, Any]) -> str:
    """What to type to carry a recipe out."""
    words = ["tighten", "run" if recipe.get("stages") else "shrink", name]
    words += [] if recipe["data"] == "tighten.data:digits" else ["--data", "DIR"]
    words += [] if recipe.get("dense") else ["--weights", "FILE"]
    return " ".join(words if recipe.get("stages") else [*words, "--drop", "0.2"])


def split(recipe: dict[str, Any], runs: list[Result]) -> tuple[list[Result], list[Result]]:
    """The runs of the recipe as it stands, and those with other epochs."""
    epochs = sum(stage.get("epochs", 0) for stage in recipe.get("stages", []))
    return [run for run in runs if run["epochs"] == epochs], [run for run in runs if run["epochs"] != epochs]


def measured(runs: list[Result]) -> list[str]:
    """A row for each run, then the spread, the time and the machine."""
    return [
        *rows(runs),
        "",
        f"Test accuracy of the last epoch: {spread([run['accuracy'] for run in runs])}. Minutes are those of the "
        f"epochs after the dense network, {hardware(runs)}. Weights and rates count tensors of two or more axes.",
        "",
    ]


def rows(runs: list[Result]) -> list[str]:
    """A table with a row for each run."""
    lines = [
        "| seed | dense % | final % | weights kept | rate | file | epochs | minutes |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for run in runs:
        sites = [site for site in run["report"]["sites"] if site.get("axes", 2) >= 2]
        kept, weights = sum(s["kept"] for s in sites), sum(s["weights"] for s in sites)
        lines.append(
            f"| {run['seed']} | {run['dense_accuracy']:.2f} | **{run['accuracy']:.2f}** | {kept:,} | "
            f"{weights / max(1, kept):.1f}x | {run['report']['sizes']['total']:,} B | {run['epochs']} | "
            f"{run['seconds'] / 60:.1f} |"
        )
    return lines


def spread(values: list[float]) -> str:
    """A mean with its deviation and lowest value; of one run just that."""
    if len(values) == 1:
        return f"{values[0]:.2f} % (one seed)"
    deviation = statistics.stdev(values)
    return f"{statistics.mean(values):.2f} ± {deviation:.2f} % over {len(values)} seeds, lowest {min(values):.2f} %"


def hardware(runs: list[Result]) -> str:
    """Where it was measured, as far as the runs say."""
    said = []
    for run in runs:
        machine = run.get("processor") or " ".join(w for w in (run.get("system"), run.get("machine")) if w)
        threads = f"{run['threads']} thread" + "s" * (run["threads"] != 1) if run.get("threads") else ""
        words = ", ".join(word for word in (machine, threads, run.get("precision")) if word)
        said.append(f"on {words}" if words else "on a machine that was not recorded")
    return "; ".join(dict.fromkeys(said))


def table() -> str:
    """A row for each recipe: what it does, and what came of it."""
    found = results()
    lines = ["| recipe | what it does | test accuracy | dense | file |", "|---|---|---|---|---|"]
    for name, text in recipes().items():
        recipe = tomllib.loads(text)
        runs, what = split(recipe, found.get(name, []))[0], recipe.get("summary", "")
        numbers = f"{NOT_MEASURED} | - | -"
        if runs:
            size = statistics.mean(run["report"]["sizes"]["total"] for run in runs)
            dense = statistics.mean(run["dense_accuracy"] for run in runs)
            numbers = f"{spread([run['accuracy'] for run in runs])} | {dense:.2f} % | {size:,.0f} bytes"
        lines.append(f"| [`{name}`](cards/{name}.md) | {what} | {numbers} |")
    return "\n".join(lines)


def on_config(config: Any) -> Any:
    """Fills the section of the navigation that is left empty for them."""
    for entry in config.nav:
        for inside in entry.get("Recipes", []) if isinstance(entry, dict) else ():
            if SECTION in inside:
                inside[SECTION] = [{name: f"cards/{name}.md"} for name in recipes()]
    return config


def on_files(files: Any, config: Any) -> Any:
    """Adds the pages."""
    from mkdocs.structure.files import File

    found = results()
    for name, text in recipes().items():
        files.append(File.generated(config, f"cards/{name}.md", content=card(name, text, found.get(name, []))))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Puts the table where a page asks for it."""
    return markdown.replace(TABLE, table()) if TABLE in markdown else markdown
