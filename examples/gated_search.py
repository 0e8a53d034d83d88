"""A search in a loop of one's own: smaller step by step, as long as validation accuracy holds.

    python examples/gated_search.py [--out digits.tight] [--epochs 4] [--drop 2]

Each step goes on from the smallest network that passed; one that fails is rolled back and a shorter step is tried.
"""

import argparse
import copy

import torch
from torch.nn import functional as F

import tighten as tt
from tighten.data import batches, digits
from tighten.search import Gate, Search, Step
from tighten.zoo import DigitsNet


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", default="digits.tight")
    parser.add_argument("--epochs", type=int, default=4, help="of each stage")
    parser.add_argument("--drop", type=float, default=2.0, help="points of validation accuracy that may be lost")
    args = parser.parse_args()

    torch.manual_seed(0)
    data = digits()
    loader = batches(data.train, 32, torch.Generator().manual_seed(0))

    def train(model, optimizer, epochs, after_step=lambda: None):
        for _ in range(epochs):
            for inputs, targets in loader:
                optimizer.zero_grad()
                F.cross_entropy(model(inputs), targets).backward()
                optimizer.step()
                after_step()

    def accuracy(model, part):
        with torch.no_grad():
            return 100 * (model(part.inputs).argmax(1) == part.targets).float().mean().item()

    model = DigitsNet()
    train(model, torch.optim.Adam(model.parameters(), lr=4e-3), 2 * args.epochs)
    dense = accuracy(model, data.validation)
    print(f"dense: {dense:.2f} % on validation data")

    def attempt(origin, size):
        """The network of an earlier session pruned to a size, and the session that did it."""
        smaller = copy.deepcopy(origin)
        stages = [
            tt.Stage({"*": tt.Sparse()}, tt.Admm(rho_end=0.2), args.epochs, tt.Budget(weights=int(size))),
            tt.Stage({}, tt.Masked(), args.epochs),
        ]
        session = tt.Session(smaller, stages, steps_per_epoch=len(loader))
        for stage in session:
            optimizer = torch.optim.Adam(smaller.parameters(), lr=4e-3)
            scheduler = stage.scheduler(optimizer)
            with stage.attached(optimizer):
                train(smaller, optimizer, stage.epochs, scheduler.step)
        return smaller, session

    weights = sum(p.numel() for p in model.parameters() if p.ndim >= 2)
    search = Search(start=weights, dense=dense, gate=Gate(drop=args.drop), goal=weights / 40)
    steps, made = [], {}
    while (size := search.next(steps)) is not None:
        best = search.best(steps)
        found = attempt(made[best][0] if best else model, size)
        reached = accuracy(found[0], data.validation)
        step = Step(size, reached, search.passes(reached))
        steps.append(step)
        made[step] = found
        print(f"{weights / size:.1f}x: {reached:.2f} %, {'kept' if step.passed else 'rolled back'}")

    best = search.best(steps)
    if best is None:
        raise SystemExit("no step passed the gate: give a larger --drop or more --epochs")
    smallest, session = made[best]
    session.save(args.out)
    print(session.report())
    print(f"test accuracy {accuracy(smallest, data.test):.2f} %")


if __name__ == "__main__":
    main()
