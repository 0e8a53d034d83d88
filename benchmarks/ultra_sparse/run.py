#!/usr/bin/env python3
"""Caffe's LeNet-5 with a thousand weights and fewer: the method of `tt.Exchange`, with a kernel of its own.

    python benchmarks/ultra_sparse/run.py --data DIR --seed 0 [--start results/lenet5/lenet5-mnist-seed0.tight]
    python benchmarks/ultra_sparse/run.py --table

Goes on from the 246x network of the recipe `lenet5-mnist` with the same seed and its dense network as teacher, to 280x,
and from there to 450x and to 350x. Each step prunes gradually, trades entries in cycles and trains the rest, a fixed
number of epochs with fixed settings. At 450x and 350x all values, biases too, are then quantized: latent values and the
scales of the levels learn by the gradients at the nearest levels. Test pictures decide nothing. Leaves a `.tight` file
and a JSON of each network in results/ultra_sparse/; what is there is not done again.
Needs g++.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path

import numpy as np
import torch
from network import WEIGHTS, SparseLeNet5
from training import Lesson, lesson

from tighten import recipes, sets
from tighten.artifact import Artifact, load
from tighten.codes import Code
from tighten.engine.dense import dense_network
from tighten.engine.events import Listener
from tighten.engine.prepare import prepare
from tighten.zoo import LeNet5

HERE = Path(__file__).resolve().parent.parent.parent
RESULTS = HERE / "results" / "ultra_sparse"
ALL = 430_500
STEPS = {280: (8, 24, 60), 450: (20, 36, 60), 350: (12, 12, 40)}
"""Of each rate: epochs of gradual pruning, cycles of exchange of six epochs each, and epochs of the rest."""
PART, GROWN, PRUNED = 0.4, 2, 4
"""Part of the kept entries that the first cycle adds, epochs with them, and in how many steps of an epoch they go."""
PRUNING, EXCHANGING, RESTING = 2e-3, 3e-3, 4e-3
"""Learning rates."""
BITS, STRAIGHT, STRAIGHT_RATE = 3, 60, 2e-3
"""Of a quantized value, epochs of quantization, and their learning rate."""


def prune(net: SparseLeNet5, lesson: Lesson, count: int) -> None:
    """Only the `count` entries kept whose loss would cost most, w^2 * mean(g^2)."""
    gradients = lesson.gradients(net, 6000)[:, : net.kept]
    saliency = net.theta[: net.kept] ** 2 * np.square(gradients).mean(0)
    chosen = np.zeros(net.kept, bool)
    chosen[np.argsort(-saliency)[:count]] = True
    net.keep(chosen)


def shrink(net: SparseLeNet5, lesson: Lesson, count: int, steps: int, rate: float) -> None:
    """Pruned to `count` entries in equal ratios, an epoch after each."""
    before = net.kept
    for step in range(1, steps + 1):
        prune(net, lesson, int(before * (count / before) ** (step / steps) + 1e-6))
        lesson.train(net, 1, rate)


def to_rate(net: SparseLeNet5, lesson: Lesson, rate: int, say) -> int:
    """The network at a rate, trained to its end; how many epochs that took."""
    count, (gradual, cycles, rest) = ALL // rate, STEPS[rate]
    shrink(net, lesson, count, gradual, PRUNING)
    for cycle in range(cycles):
        learning = EXCHANGING * (1 - 0.7 * cycle / cycles)
        net.grow(lesson.wishes(net), int(PART * (1 - 0.8 * cycle / cycles) * count))
        lesson.train(net, GROWN, learning)
        shrink(net, lesson, count, PRUNED, learning)
        found = lesson.accuracy(net, "validation")
        say(f"{rate}x cycle {cycle + 1}/{cycles}: {net.kept} kept, validation {found:.2f} %")
    net.forget()
    lesson.train(net, rest, RESTING, fall=True)
    return gradual + cycles * (GROWN + PRUNED) + rest


def quantize(net: SparseLeNet5, lesson: Lesson, bits: int) -> tuple[SparseLeNet5, dict[str, sets.Set], dict[str, Code]]:
    """Every weight and bias trained to its level, straight through; the network, its sets and codes."""
    state = net.state_dict()
    promised = {n: sets.Sparse(count=int((v != 0).sum())) & sets.Uniform(bits, zero=False) for n, v in state.items()}
    net.forget()
    net.quantize({name: float(p.fit(state[name]).inner.scale) for name, p in promised.items()}, 2 ** (bits - 1))
    lesson.train(net, STRAIGHT, STRAIGHT_RATE, fall=True)
    state = net.state_dict()
    codes = {name: promise.fit(state[name]) for name, promise in promised.items()}
    return SparseLeNet5({name: code.dense() for name, code in codes.items()}), promised, codes


def write(
    state: dict[str, torch.Tensor], promised: dict[str, sets.Set], codes: dict[str, Code], path: Path, facts: dict
) -> int:
    """The network as a `.tight` file, with its sets as promises; the bytes of the file."""
    facts |= {"sets": {name: sets.to_data(promise) for name, promise in promised.items()}}
    return Artifact.of(state, codes, facts).save(path).total


def carry_out(data: Path, seed: int, start: Path, dense_folder: Path) -> None:
    recipe, _ = recipes.load("lenet5-mnist")
    trainer = prepare(recipe, root=data, download=False, seed=seed, listener=Listener())
    dense_network(trainer, recipe, seed, dense_folder)
    teaching = lesson(data, seed, trainer.model)
    dense = SparseLeNet5(trainer.model.state_dict())
    dense_accuracy = {part: teaching.accuracy(dense, part) for part in ("validation", "test")}
    model, epochs, began = LeNet5(), 0, time.process_time()

    def keep(net: SparseLeNet5, promised: dict[str, sets.Set], codes: dict[str, Code], path: Path, epochs: int) -> None:
        """The file and what is to be said of it."""
        test = teaching.accuracy(net, "test")
        facts = {"model": "tighten.zoo:LeNet5", "data": "tighten.data:mnist"}
        facts |= {"claims": {"accuracy": round(test, 2), "dense": round(dense_accuracy["test"], 2)}}
        size = write(net.state_dict(), promised, codes, path.with_suffix(".tight"), facts)
        result = {
            "rate": ALL / net.kept,
            "kept": net.kept,
            "kept_by_layer": dict(zip(WEIGHTS, net.sizes, strict=True)),
            "seed": seed,
            "accuracy": round(test, 2),
            "dense_accuracy": round(dense_accuracy["test"], 2),
            "validation_accuracy": round(teaching.accuracy(net, "validation"), 2),
            "dense_validation_accuracy": round(dense_accuracy["validation"], 2),
            "epochs": epochs,
            "epochs_before": "20 dense and 60 to 246x",
            "processor_seconds": round(time.process_time() - began, 1),
            "bytes": size,
        }
        path.write_text(json.dumps(result, indent=2) + "\n")
        print(f"seed {seed}, {path.stem}: {net.kept} kept, test {test:.2f} %, {size} bytes", flush=True)

    load(start, model)
    first = SparseLeNet5(model.state_dict())
    first.keep(np.ones(first.kept, bool))
    for rate in STEPS:
        path = RESULTS / f"lenet5-{rate}x-seed{seed}.json"
        if path.exists():
            load(path.with_suffix(".tight"), model)
            net, trained = SparseLeNet5(model.state_dict()), json.loads(path.read_text())["epochs"]
        else:
            # Its own chance: the same whether the rates before were found or made.
            teaching.random = np.random.default_rng((seed, rate))
            net = SparseLeNet5(first.state_dict())
            trained = epochs + to_rate(net, teaching, rate, lambda text: print(f"seed {seed}, {text}", flush=True))
            state = net.state_dict()
            promised = {name: sets.Sparse(count=int((state[name] != 0).sum())) for name in WEIGHTS}
            codes = {name: promise.fit(state[name]) for name, promise in promised.items()}
            keep(net, promised, codes, path, trained)
        path = RESULTS / f"lenet5-{rate}x-{BITS}bits-seed{seed}.json"
        if rate != min(STEPS) and not path.exists():
            teaching.random = np.random.default_rng((seed, rate, BITS))
            small, promised, codes = quantize(SparseLeNet5(net.state_dict()), teaching, BITS)
            keep(small, promised, codes, path, trained + STRAIGHT)
        if rate == min(STEPS):
            first, epochs = net, trained


def table() -> str:
    """The results at hand as Markdown."""
    lines = [
        "| what | seed | weights kept | test % | dense % | loss in points | epochs after 246x | file |",
        "|" + "---|" * 8,
    ]
    kinds = [str(r) + "x" for r in STEPS] + [f"{r}x-{BITS}bits" for r in STEPS]
    for kind in kinds:
        runs = [json.loads(p.read_text()) for p in sorted(RESULTS.glob(f"lenet5-{kind}-seed*.json"))]
        for r in runs:
            lines.append(
                f"| {kind} | {r['seed']} | {r['kept']:,} | {r['accuracy']:.2f} | {r['dense_accuracy']:.2f} "
                f"| {r['dense_accuracy'] - r['accuracy']:.2f} | {r['epochs']} | {r['bytes']:,} B |"
            )
        if len(runs) > 1:
            found, lost = [r["accuracy"] for r in runs], [r["dense_accuracy"] - r["accuracy"] for r in runs]
            mean = f"**{statistics.mean(found):.2f}** ± {statistics.stdev(found):.2f}"
            lines.append(f"| {kind} | mean ± deviation of {len(runs)} | | {mean} | | {statistics.mean(lost):.2f} | | |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder of MNIST")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--start", type=Path, help="the 246x network; by default that of results/lenet5")
    parser.add_argument("--dense", type=Path, default=HERE / "runs" / ".dense", help="folder of the dense network")
    parser.add_argument("--table", action="store_true", help="write the table from the results at hand, run nothing")
    args = parser.parse_args()
    RESULTS.mkdir(parents=True, exist_ok=True)
    if not args.table:
        torch.set_num_threads(1)
        torch.set_flush_denormal(True)  # averages of gradients become subnormal, which is slow
        start = args.start or HERE / "results" / "lenet5" / f"lenet5-mnist-seed{args.seed}.tight"
        carry_out(args.data, args.seed, start, args.dense)
    page, mark = RESULTS / "README.md", "<!-- table -->"
    text = page.read_text() if page.exists() else mark
    page.write_text(text.split(mark)[0] + f"{mark}\n{table()}\n")


if __name__ == "__main__":
    main()
