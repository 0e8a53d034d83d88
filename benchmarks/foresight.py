"""What shares are worth that are found before training: on the embedded digits, by several rules.

    python benchmarks/foresight.py

The dense network of the recipe `digits` is pruned 20 times at once by the shares of each rule and retrained for
eight epochs with its zeros held. One line a rule: shares of seed 0, and mean training loss and validation accuracy.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from pathlib import Path

import torch
import torch.nn.functional as F

import tighten as tt
from tighten.allocation import erk
from tighten.data import batches
from tighten.engine.dense import dense_network
from tighten.engine.events import Listener
from tighten.engine.prepare import prepare
from tighten.recipes import load
from tighten.sensing import foreseen

EPOCHS = 8


def shares_of(trainer, count):
    """The shares of each rule, by name."""
    model = trainer.model
    run = list(batches(trainer.data.train, 32, torch.Generator().manual_seed(0)))

    def by(rule):
        return lambda found: tt.Shares.of(rule(found, count), found)

    dense = tt.evidence(model, tt.weights, run, F.cross_entropy)
    ahead = foreseen(model, tt.weights, run, F.cross_entropy, by(tt.fisher))
    yield "fisher, foreseen", by(tt.fisher)(ahead)
    yield "fisher, dense network", by(tt.fisher)(dense)
    for rule in (tt.lamp, tt.magnitude, erk, tt.uniform):
        yield rule.__name__, by(rule)(dense)


def retrained(trainer, shares):
    """Training loss and validation accuracy after the retraining."""
    start = {name: t.clone() for name, t in trainer.model.state_dict().items()}
    data, model = trainer.data, trainer.model
    order = batches(data.train, 32, torch.Generator().manual_seed(1))
    session = tt.Session(model, [tt.Stage(shares.supports(), tt.Masked(), EPOCHS)], steps_per_epoch=len(order))
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    for stage in session:
        scheduler = stage.scheduler(optimizer)
        with stage.attached(optimizer):
            for _ in range(EPOCHS):
                for inputs, targets in order:
                    optimizer.zero_grad()
                    F.cross_entropy(model(inputs), targets).backward()
                    optimizer.step()
                    scheduler.step()
    with torch.no_grad():
        loss = float(F.cross_entropy(model(data.train.inputs), data.train.targets))
        right = (model(data.validation.inputs).argmax(1) == data.validation.targets).float().mean()
    model.load_state_dict(start)
    return loss, 100 * float(right)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rate", type=float, default=20)
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(1)
    recipe, _ = load("digits")
    found: dict[str, list[tuple[float, float]]] = {}
    first: dict[str, str] = {}
    for seed in range(options.seeds):
        trainer = prepare(recipe, root=None, download=False, seed=seed, listener=Listener())
        with tempfile.TemporaryDirectory() as folder:
            dense_network(trainer, recipe, seed, Path(folder))
        total = sum(trainer.model.get_parameter(name).numel() for name in tt.weights(trainer.model))
        for name, shares in shares_of(trainer, int(total / options.rate)):
            found.setdefault(name, []).append(retrained(trainer, shares))
            first.setdefault(name, " / ".join(str(share.count) for share in shares.values()))
    for name, results in found.items():
        loss, right = (statistics.mean(values) for values in zip(*results, strict=True))
        sys.stdout.write(f"{name:<22} {first[name]:<24} loss {loss:.3f}   validation {right:.2f} %\n")


if __name__ == "__main__":
    main()
