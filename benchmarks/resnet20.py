#!/usr/bin/env python3
"""ResNet-20 on CIFAR-10: `tighten` beside its rivals, from the same trained network.

    python benchmarks/resnet20.py --data DIR --weights FILE [--rows pruned ternary joint] [--rates 10 5] [--epochs 8]
                                  [--threads 1] [--seed 0] [--only tighten|rival|magnitude|pat] [--labels-only]
                                  [--runs runs]

The two of a row differ in the method alone: the same epochs, optimizer, batches, augmentation, start of the learning
rate, loss (distillation from the dense network included), pass over the data for batch norm at the end, and number of
kept weights. Pruned rows: `torch.nn.utils.prune.global_unstructured` by L1, in equal geometric steps at the start of
each of the first 5 of 8 epochs, one cosine over all of it; and torchao's PAT with one limit for the whole network.
Ternary rows: torchao's PARQ. Joint rows go on from the 5x ones: ours trains straight through at 4 bits, the other
under PyTorch's fake quantization. `--labels-only` adds pruned rows that learn from the labels alone. Nothing is chosen
by the test set: accuracy is that of the last epoch.
Finished epochs are kept in --runs, and called again it goes on; files, JSON and a table of them all are written to
results/resnet20/.
"""

import argparse
import json
import shutil
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import low_bits
import proximal
import torch
from magnitude import kept_after, make_permanent, prune_to, pruned_modules, weights_of
from torch import Tensor, nn
from torch.nn.utils import prune

import tighten as tt
from tighten.cli.progress import Progress
from tighten.engine import accuracy, checkpoint, run
from tighten.engine.batch_norm import EXAMPLES, reestimate
from tighten.engine.prepare import prepare
from tighten.engine.trainer import Trainer
from tighten.imports import load_named
from tighten.recipes import Recipe, Training, load, parse
from tighten.report import report
from tighten.schedules import cosine
from tighten.sets import to_data

HERE = Path(__file__).resolve().parent.parent
RESULTS = HERE / "results" / "resnet20"
RECIPE = "resnet20-cifar10"
KINDS = ["pruned", "ternary", "joint"]
JOINT_RATE, BITS = 5, 4
JOINT = "iterative magnitude, then fake quantization"
LABELS = {
    "tighten": "`tighten`",
    "magnitude": "iterative magnitude",
    "magnitude-labels": "iterative magnitude, labels alone",
    "pat": "PAT (torchao)",
    "parq": "PARQ (torchao)",
}
HEAD = """\
# ResNet-20 on CIFAR-10

One trained ResNet-20 (267,696 convolution and 640 classifier weights), compressed in few epochs by the shipped recipes
`resnet20-cifar10`, `-ternary` and `-joint`, and by others from the same weights. The two of a row have the same epochs,
Adam at the same first learning rate, batches, augmentation, loss (a tenth the labels, the rest the dense network's
outputs at temperature 4; but for the ternary rows also what its nine blocks give), pass over the data for batch norm at
the end, and number of kept weights; batch norm and the ten biases train along and are neither pruned nor quantized.
Methods and learning rates were tried out on this network for two or three epochs, by the training pictures held out
here, as they are and distorted (docs/decisions/0046 and 0047).

- Pruned: ours shrinks the support in the first half of the epochs and moves it for another tenth, with feedback
  (`tt.Feedback`); what is pruned may come back. The rival is PyTorch's own
  `global_unstructured` by L1, in equal geometric steps at the start of each of these first epochs, under one cosine.
  torchao's PAT has one limit for the whole network, its own cubic schedule over the same epochs, and the same cosine.
- Ternary, every layer, one scale an output channel: ours trains straight through, scales included
  (`tt.StraightThrough`). The rival is torchao's PARQ: Adam, least-squares levels, annealing over three quarters of the
  steps.
- Joint: on from the 5x row of the same method, two epochs more. Ours trains the kept weights straight through on 16
  levels; the other trains under PyTorch's fake quantization to 15 levels of the best step.

Test accuracy is that of the last epoch on the 10,000 test pictures. The dense network comes from elsewhere; its
99.8 % on the 5,000 training pictures held out here for validation says that it was trained on them too. Their
accuracy is therefore far higher than the test accuracy. Nothing was decided by either.

    tighten verify results/resnet20/tighten-5x-seed0.tight --data DIR
    python benchmarks/resnet20.py --data DIR --weights FILE --threads 1

Minutes are those of the epochs, on one core of a shared two-core virtual machine in bf16, with other work beside.
"""
METHODS = [method for method in LABELS if method != "parq"]


def text_of(kind: str, rate: float, epochs: int) -> str:
    """The recipe of a row: the shipped one at another rate and length; a joint row goes on from the pruned one."""
    if kind == "joint":
        text = load(f"{RECIPE}-joint")[1]
        return text[: text.index("[[stages]]")] + text[text.rindex("[[stages]]") :]
    if kind == "ternary":
        return replaced(f"{RECIPE}-ternary", ("\nepochs = 8\n", f"\nepochs = {epochs}\n"))
    return replaced(RECIPE, ("{ rate = 5 }", f"{{ rate = {rate:g} }}"), ("\nepochs = 8\n", f"\nepochs = {epochs}\n"))


def replaced(name: str, *pairs: tuple[str, str]) -> str:
    """The text of a shipped recipe with some of its words changed."""
    text = load(name)[1]
    for old, new in pairs:
        if text.count(old) != 1:
            raise SystemExit(f"the recipe {name} does not say {old!r} once: mend this script")
        text = text.replace(old, new)
    return text


def retraining(epochs: int) -> int:
    """The epochs after the last pruning, of iterative magnitude pruning and of PAT."""
    return max(1, round(epochs * 3 / 8))


def rival(kind: str, method: str, rate: float, out: Path, args: argparse.Namespace) -> None:
    """One row that is not ours, written as a run of `tighten` is."""
    name, text = f"{method} {kind}", text_of(kind, rate, args.epochs)
    recipe = parse(text, name).starting_from(str(args.weights))
    with Progress() as progress:
        trainer = prepare(recipe, root=args.data, download=False, seed=args.seed, listener=progress)
        trainer.keep_teacher()
        dense = accuracy(trainer.model, trainer.data.test)
        epochs, stage = sum(stage.epochs for stage in recipe.stages), recipe.stages[0]
        distill = None if method == "magnitude-labels" else stage.distill
        training = Training(epochs=epochs, learning_rate=stage.learning_rate, distill=distill)
        # As a run of `tighten` does after its dense network.
        trainer.generator.manual_seed(args.seed + 1)
        path, make, before = out / "checkpoint.pt", adam, None
        if kind == "joint":
            trainer.model.load_state_dict(tt.Artifact.open(args.results / start_of(method, args)).state_dict())
            low_bits.fake_quantize(trainer.model, BITS)
        elif kind == "ternary":
            make = parq
        elif method == "pat":
            make = partial(pat, rate=rate)
        else:
            before = Pruning(trainer.model, epochs, rate)
        history = train(trainer, training, path, make, before)
    low_bits.settle(trainer.model)
    artifact = compressed(recipe, trainer.model, kind)
    trainer.model.load_state_dict(artifact.state_dict())
    reestimate(trainer.model, trainer.inputs(EXAMPLES, augmented=True))
    test, validation = (accuracy(trainer.model, part) for part in (trainer.data.test, trainer.data.validation))
    claims = {"accuracy": round(test, 4), "dense": round(dense, 4)}
    artifact = compressed(recipe, trainer.model, kind, claims)
    artifact.save(out / "net.tight")
    facts = {
        "recipe": name,
        "seed": args.seed,
        "dense_accuracy": dense,
        "accuracy": test,
        "validation_accuracy": validation,
        "epochs": epochs,
        "dense_epochs": 0,
        "precision": trainer.precision,
        "seconds": round(sum(epoch["seconds"] for epoch in history), 1),
        "report": report(artifact).to_data(),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "history": history,
    }
    checkpoint.write_json(out / "result.json", facts)


class Pruning:
    """Magnitude pruning in equal geometric steps, each at the start of an epoch; the last ones only retrain."""

    def __init__(self, model: nn.Module, epochs: int, rate: float) -> None:
        self.model, self.rate = model, rate
        self.steps, self.total = epochs - retraining(epochs), weights_of(model)

    def __call__(self, epoch: int) -> None:
        if epoch <= self.steps:
            prune_to(self.model, kept_after(epoch, self.steps, self.total, self.rate))

    def restore(self) -> None:
        """Masks to load those of a checkpoint into."""
        for module, name in pruned_modules(self.model):
            prune.identity(module, name)


Optimizers = Callable[[Trainer, Training], torch.optim.Optimizer]


def adam(trainer: Trainer, training: Training) -> torch.optim.Optimizer:
    """The recipe's optimizer."""
    return trainer.optimizer(trainer.model, training.learning_rate)


def parq(trainer: Trainer, training: Training) -> torch.optim.Optimizer:
    """Adam inside PARQ with ternary weights, one scale an output channel."""
    return low_bits.parq(trainer.model, training.learning_rate, training.epochs * trainer.steps_per_epoch)


def pat(trainer: Trainer, training: Training, rate: float) -> torch.optim.Optimizer:
    """Adam inside PAT, one limit for the whole network; it rests in the epochs in which others only retrain."""
    busy = 1 - retraining(training.epochs) / training.epochs
    steps = training.epochs * trainer.steps_per_epoch
    return proximal.pat(trainer.model, training.learning_rate, steps, rate=rate, busy=busy)


def train(
    trainer: Trainer, training: Training, path: Path, make: Optimizers, before: Pruning | None
) -> list[dict[str, Any]]:
    """All epochs, or those that the checkpoint at `path` lacks; the history of all of them."""
    model, optimizer = trainer.model, make(trainer, training)
    steps = training.epochs * trainer.steps_per_epoch
    scheduler = torch.optim.lr_scheduler.LambdaLR(
        getattr(optimizer, "base_optimizer", optimizer), lambda step: cosine(step / steps)
    )
    history: list[dict[str, Any]] = []
    if (state := checkpoint.load(path, trainer.listener.note)) is not None:
        if before is not None:
            before.restore()
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        scheduler.load_state_dict(state["scheduler"])
        trainer.generator.set_state(state["generator"].cpu())
        history = state["history"]
    trainer.listener.stage("rival", training.epochs, trainer.steps_per_epoch, len(history))
    for number in range(len(history) + 1, training.epochs + 1):
        if before is not None:
            before(number)
        epoch = trainer.epoch("rival", number, training, optimizer, scheduler)
        history.append(asdict(epoch))
        state = {
            "model": model.state_dict(),
            "optimizer": optimizer.state_dict(),
            "scheduler": scheduler.state_dict(),
            "generator": trainer.generator.get_state(),
            "history": history,
        }
        checkpoint.save(path, state)
        trainer.listener.epoch(epoch)
    return history


def compressed(recipe: Recipe, model: nn.Module, kind: str, claims: dict[str, float] | None = None) -> tt.Artifact:
    """The artifact of a rival's network, its levels and zeros promised as `tighten` promises its own.

    Raises:
        SystemExit: its weights are not what it says they are.
    """
    make_permanent(model)
    # torch leaves pruned parameters in another order than the model's own, and makes some zeros negative.
    found, order = model.state_dict(), load_named(recipe.model, "model")().state_dict()
    state = {name: (found[name] + 0).contiguous() for name in order}
    sets = {name: promise(kind, w) for name, w in state.items() if w.ndim > 1}
    codes = {name: s.fit(state[name]) for name, s in sets.items()}
    for name, code in codes.items():
        error = float((code.dense() - state[name]).abs().max() / state[name].abs().max().clamp_min(1e-30))
        if error > 1e-3:
            raise SystemExit(f"'{name}' is not in {sets[name]!r}: off by {error:.2g} of its largest weight")
        state[name] = code.dense()
    meta = {"claims": claims or {}, "sets": {name: to_data(s) for name, s in sets.items()}}
    return tt.Artifact.of(state, codes, {**recipe.facts(), **meta})


def promise(kind: str, weight: Tensor) -> tt.Set:
    """What a rival's file says of one weight."""
    if kind == "ternary":
        return tt.Ternary(per_channel=True)
    support = tt.Sparse(count=max(1, int(weight.count_nonzero())))
    return support & tt.Uniform(bits=BITS, zero=False) if kind == "joint" else support


def start_of(method: str, args: argparse.Namespace) -> str:
    """The file of the pruned row that a joint row goes on from."""
    return f"{method}-{JOINT_RATE}x-seed{args.seed}.tight"


def carry_out(kind: str, method: str, rate: float, args: argparse.Namespace) -> None:
    """One row, unless it is already finished; its results copied."""
    name = f"{method}-{f'{rate:g}x' if kind == 'pruned' else kind}-seed{args.seed}"
    out = args.runs / f"resnet20-{name}"
    text = text_of(kind, rate, args.epochs)
    start = args.results / start_of(method, args) if kind == "joint" else None
    if start is not None and not start.exists():
        raise SystemExit(f"the row {name} goes on from '{start}', which is missing: run the pruned rows first")
    if not (out / "result.json").exists():
        if method == "tighten":
            with Progress() as progress:
                run(
                    parse(text, name), text, out, root=args.data, seed=args.seed,
                    resume=True, weights=args.weights, start=start, listener=progress,
                )  # fmt: skip
        else:
            rival(kind, method, rate, out, args)
    args.results.mkdir(parents=True, exist_ok=True)
    shutil.copy(out / "net.tight", args.results / f"{name}.tight")
    # Where files lay says nothing to others.
    facts = json.loads((out / "result.json").read_text())
    facts |= {key: Path(facts[key]).name for key in ("root", "weights", "start") if facts.get(key)}
    checkpoint.write_json(args.results / f"{name}.json", facts)


def table(results: Path) -> str:
    """The results at hand as Markdown."""
    lines = [
        "| row | method | seed | dense % | test % | validation % | weights kept | file | epochs | minutes |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    rows = []
    for path in results.glob("*.json"):
        method, row, seed = path.stem.rsplit("-", 2)
        rate = float(row.removesuffix("x")) if row not in KINDS else 100 + KINDS.index(row)
        rows.append((rate, list(LABELS).index(method), seed, row, json.loads(path.read_text())))
    for _, method, _, row, found in sorted(rows, key=lambda row: row[:3]):
        figures = found["report"]
        label = JOINT if row == "joint" and method else list(LABELS.values())[method]
        epochs = f"{JOINT_RATE}x + {found['epochs']}" if row == "joint" else found["epochs"]
        lines.append(
            f"| {row} | {label} | {found['seed']} | {found['dense_accuracy']:.2f} "
            f"| **{found['accuracy']:.2f}** | {found['validation_accuracy']:.2f} | {figures['kept']:,} "
            f"| {figures['sizes']['total']:,} B | {epochs} | {found['seconds'] / 60:.0f} |"
        )
    return "\n".join(lines)


def rivals(kind: str, args: argparse.Namespace) -> list[str]:
    """The methods of a kind of row."""
    methods = {"ternary": ["tighten", "parq"], "joint": ["tighten", "magnitude"], "pruned": METHODS}[kind]
    methods = [m for m in methods if m != "magnitude-labels" or args.labels_only]
    return [m for m in methods if args.only in (None, m, "tighten" if m == "tighten" else "rival")]


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder of CIFAR-10")
    parser.add_argument("--weights", type=Path, help="the trained network")
    parser.add_argument("--rates", type=float, nargs="+", default=[10, 5])
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rows", nargs="+", choices=KINDS, default=KINDS)
    parser.add_argument("--only", choices=["tighten", "rival", "magnitude", "pat"], help="one method, or all rivals")
    parser.add_argument("--labels-only", action="store_true", help="also magnitude pruning without distillation")
    parser.add_argument("--runs", type=Path, default=HERE / "runs", help="where run folders are kept")
    parser.add_argument("--results", type=Path, default=RESULTS, help="where files, JSON and table are written")
    parser.add_argument("--table", action="store_true", help="write the table from the results at hand, run nothing")
    args = parser.parse_args(arguments)
    if not args.table and args.weights is None:
        parser.error("give --weights FILE")
    if args.epochs < 2:
        parser.error("--epochs must be at least 2: one prunes, one retrains")
    torch.set_num_threads(args.threads)
    for kind in args.rows if not args.table else ():
        for rate in args.rates if kind == "pruned" else (JOINT_RATE,):
            for method in rivals(kind, args):
                carry_out(kind, method, rate, args)
    readme = args.results / "README.md"
    readme.write_text(f"{HEAD}\n<!-- table -->\n{table(args.results)}\n")
    print(table(args.results))


if __name__ == "__main__":
    main()
