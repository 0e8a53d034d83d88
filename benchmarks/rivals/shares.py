"""How many weights each layer kept in the run of `tighten` that is committed beside the recipes: a gift to rivals."""

import json
from pathlib import Path

RUN = Path(__file__).resolve().parents[2] / "results" / "lenet5" / "lenet5-mnist-seed0.json"


def shared(rate: float) -> dict[str, int]:
    """Weights of each layer, in the proportions of that run, of which at least one is kept and all are there."""
    sites = json.loads(RUN.read_text())["report"]["sites"]
    total, kept = sum(s["weights"] for s in sites), sum(s["kept"] for s in sites)
    wanted = int(total / rate + 1e-9)
    found = {s["name"]: min(s["weights"], max(1, s["kept"] * wanted // kept)) for s in sites}
    largest = max(found, key=lambda name: found[name])
    return found | {largest: found[largest] + wanted - sum(found.values())}
