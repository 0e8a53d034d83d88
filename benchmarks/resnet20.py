#!/usr/bin/env python3
"""ResNet-20 on CIFAR-10: `tighten` beside iterative magnitude pruning, from the same trained network.

    python benchmarks/resnet20.py --data DIR --weights FILE [--rates 5 10] [--epochs 8] [--threads 1] [--seed 0]
                                  [--only tighten|magnitude] [--labels-only] [--runs runs]

The two differ in the method alone: the same epochs, optimizer, batches, augmentation, start of the learning rate,
loss (distillation from the dense network included) and number of kept weights. Magnitude pruning is
`torch.nn.utils.prune.global_unstructured` by L1: equal geometric steps at the start of each of the first 5 of 8
epochs, retraining in between and after, one cosine over all of it. `--labels-only` adds rows of it that learn from
the labels alone. Nothing is chosen by the test set: accuracy is that of the last epoch. Finished epochs are kept in
--runs, and called again it goes on; files, JSON and a table of them all are written to results/resnet20/.
"""

import argparse
import json
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import nn
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
UPDATES = 10
"""Of the shipped recipe's ADMM: two in each of five epochs."""
LABELS = {
    "tighten": "`tighten`",
    "magnitude": "iterative magnitude",
    "magnitude-labels": "iterative magnitude, labels alone",
}
HEAD = """\
# ResNet-20 on CIFAR-10

One trained ResNet-20 (267,696 convolution and 640 classifier weights), pruned in eight epochs: by the shipped recipe
`resnet20-cifar10` at two rates, and by iterative magnitude pruning from the same weights. Both have the same epochs,
Adam at the same first learning rate, batches, augmentation, loss (a tenth the labels, the rest the dense network's
outputs at temperature 4) and number of kept weights; batch norm and the ten biases train along and are not pruned.
The recipe spends five epochs in ADMM and three in masked retraining. Magnitude pruning is PyTorch's own
`global_unstructured` by L1, in five equal geometric steps at the start of each of the first five epochs, under one
cosine of the learning rate. Neither was tuned on this network.

Test accuracy is that of the last epoch on the 10,000 test pictures. The dense network comes from elsewhere; its
99.8 % on the 5,000 training pictures held out here for validation says that it was trained on them too. Their
accuracy is therefore far higher than the test accuracy. Nothing was decided by either.

    tighten verify results/resnet20/tighten-5x-seed0.tight --data DIR
    python benchmarks/resnet20.py --data DIR --weights FILE --threads 1

Minutes are those of the eight epochs, on one core of a shared two-core virtual machine in float32.
"""
METHODS = list(LABELS)


def recipe_text(rate: float, epochs: int) -> str:
    """The shipped recipe at another rate; three of eight epochs retrain, and ADMM updates as often in fewer epochs."""
    retrain = retraining(epochs)
    updates = max(1, round(UPDATES / (epochs - retrain)))
    text = load(RECIPE)[1]
    for old, new in (
        ("rate = 5 ", f"rate = {rate:g} "),
        ("rho_end = 2e-1 }", f"rho_end = 2e-1, updates_per_epoch = {updates} }}"),
        ('"admm"\nepochs = 5\n', f'"admm"\nepochs = {epochs - retrain}\n'),
        ('"retrain"\nepochs = 3\n', f'"retrain"\nepochs = {retrain}\n'),
    ):
        if text.count(old) != 1:
            raise SystemExit(f"the recipe {RECIPE} does not say {old!r} once: mend this script")
        text = text.replace(old, new)
    return text


def retraining(epochs: int) -> int:
    """The epochs after the last pruning."""
    return max(1, round(epochs * 3 / 8))


def kept_after(step: int, steps: int, total: int, rate: float) -> int:
    """Weights left after a step of geometric pruning; after the last as many as a budget of this rate leaves."""
    return tt.Budget(rate=rate ** (step / steps)).count(total)


def pruned_modules(model: nn.Module) -> list[tuple[nn.Module, str]]:
    """The layers that the recipe's `*` chooses."""
    return [(module, "weight") for module in model.modules() if isinstance(module, nn.Conv2d | nn.Linear)]


def weights_of(model: nn.Module) -> int:
    """How many weights those layers have."""
    return sum(getattr(module, name).numel() for module, name in pruned_modules(model))


def prune_to(model: nn.Module, kept: int) -> None:
    """The smallest weights of the whole network pruned until `kept` are left."""
    layers = pruned_modules(model)
    # torch's function flattens tensors in a way that channels-last memory does not allow.
    model.to(memory_format=torch.contiguous_format)
    masks = {layer: getattr(layer[0], "weight_mask", torch.ones(())).detach() for layer in layers}
    # The masked weight beside the trained one dates from before the last step.
    sizes = {layer: getattr(layer[0], "weight_orig", layer[0].weight).detach().abs() for layer in layers}
    left = sum(int(masks[layer].expand_as(sizes[layer]).sum()) for layer in layers)
    prune.global_unstructured(
        layers,
        pruning_method=prune.L1Unstructured,
        importance_scores={layer: masks[layer] * sizes[layer] for layer in layers},
        amount=left - kept,
    )
    model.to(memory_format=torch.channels_last)


def magnitude(recipe: Recipe, rate: float, out: Path, args: argparse.Namespace, distilled: bool) -> None:
    """One row of iterative magnitude pruning, written as a run of `tighten` is."""
    recipe = recipe.starting_from(str(args.weights))
    with Progress() as progress:
        trainer = prepare(recipe, root=args.data, download=False, seed=args.seed, listener=progress)
        trainer.keep_teacher()
        dense = accuracy(trainer.model, trainer.data.test)
        first, distill = recipe.stages[0].learning_rate, recipe.stages[0].distill
        training = Training(epochs=args.epochs, learning_rate=first, distill=distill if distilled else None)
        history = prune_and_train(trainer, training, rate, out / "checkpoint.pt", args.seed)
    test, validation = (accuracy(trainer.model, part) for part in (trainer.data.test, trainer.data.validation))
    artifact = compressed(recipe, trainer.model, {"accuracy": round(test, 4), "dense": round(dense, 4)})
    artifact.save(out / "net.tight")
    facts = {
        "recipe": f"iterative magnitude pruning {rate:g}x",
        "seed": args.seed,
        "dense_accuracy": dense,
        "accuracy": test,
        "validation_accuracy": validation,
        "epochs": args.epochs,
        "dense_epochs": 0,
        "precision": trainer.precision,
        "seconds": round(sum(epoch["seconds"] for epoch in history), 1),
        "report": report(artifact).to_data(),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "history": history,
    }
    checkpoint.write_json(out / "result.json", facts)


def prune_and_train(trainer: Trainer, training: Training, rate: float, path: Path, seed: int) -> list[dict[str, Any]]:
    """All epochs, or those that the checkpoint at `path` lacks; the history of all of them."""
    # As a run of `tighten` does after its dense network.
    trainer.generator.manual_seed(seed + 1)
    model, optimizer = trainer.model, trainer.optimizer(trainer.model, training.learning_rate)
    steps = training.epochs * trainer.steps_per_epoch
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: cosine(step / steps))
    prunings, total = training.epochs - retraining(training.epochs), weights_of(model)
    history: list[dict[str, Any]] = []
    if (state := checkpoint.load(path, trainer.accelerator.device, trainer.listener.note)) is not None:
        for module, name in pruned_modules(model):
            prune.identity(module, name)
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        scheduler.load_state_dict(state["scheduler"])
        trainer.generator.set_state(state["generator"].cpu())
        history = state["history"]
    trainer.listener.stage("magnitude", training.epochs, trainer.steps_per_epoch, len(history))
    for number in range(len(history) + 1, training.epochs + 1):
        if number <= prunings:
            prune_to(model, kept_after(number, prunings, total, rate))
        epoch = trainer.epoch("magnitude", number, training, optimizer, scheduler)
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
    # As a run of `tighten` does.
    reestimate(model, trainer.inputs(EXAMPLES))
    return history


def compressed(recipe: Recipe, model: nn.Module, claims: dict[str, float]) -> tt.Artifact:
    """The artifact of a network pruned by torch, its zeros promised as `tighten` promises its own."""
    for module, name in pruned_modules(model):
        prune.remove(module, name)
    # torch leaves pruned parameters in another order than the model's own, and makes some zeros negative.
    found, order = model.state_dict(), load_named(recipe.model, "model")().state_dict()
    state = {name: (found[name] + 0).contiguous() for name in order}
    sets = {name: tt.Sparse(count=max(1, int(w.count_nonzero()))) for name, w in state.items() if w.ndim > 1}
    codes = {name: s.fit(state[name]) for name, s in sets.items()}
    return tt.Artifact.of(
        state, codes, {**recipe.facts(), "claims": claims, "sets": {name: to_data(s) for name, s in sets.items()}}
    )


def carry_out(method: str, rate: float, args: argparse.Namespace) -> None:
    """One row, unless it is already finished; its results copied."""
    name = f"{method}-{rate:g}x-seed{args.seed}"
    out = args.runs / f"resnet20-{name}"
    text = recipe_text(rate, args.epochs)
    if not (out / "result.json").exists():
        if method == "tighten":
            with Progress() as progress:
                run(
                    parse(text, name), text, out, root=args.data, seed=args.seed,
                    resume=True, weights=args.weights, listener=progress,
                )  # fmt: skip
        else:
            magnitude(parse(text, name), rate, out, args, distilled=method == "magnitude")
    args.results.mkdir(parents=True, exist_ok=True)
    shutil.copy(out / "net.tight", args.results / f"{name}.tight")
    shutil.copy(out / "result.json", args.results / f"{name}.json")


def table(results: Path) -> str:
    """The results at hand as Markdown."""
    lines = [
        "| rate | method | seed | dense % | test % | validation % | weights kept | file | epochs | minutes |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    rows = []
    for path in results.glob("*.json"):
        method, rate, seed = path.stem.rsplit("-", 2)
        rows.append((float(rate.removesuffix("x")), METHODS.index(method), seed, json.loads(path.read_text())))
    for _, method, _, found in sorted(rows, key=lambda row: row[:3]):
        figures = found["report"]
        lines.append(
            f"| {figures['rate']:.1f}x | {LABELS[METHODS[method]]} | {found['seed']} | {found['dense_accuracy']:.2f} "
            f"| **{found['accuracy']:.2f}** | {found['validation_accuracy']:.2f} | {figures['kept']:,} "
            f"| {figures['sizes']['total']:,} B | {found['epochs']} | {found['seconds'] / 60:.0f} |"
        )
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder of CIFAR-10")
    parser.add_argument("--weights", type=Path, help="the trained network")
    parser.add_argument("--rates", type=float, nargs="+", default=[5, 10])
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--only", choices=["tighten", "magnitude"], help="one method")
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
    methods = [m for m in METHODS if m != "magnitude-labels" or args.labels_only]
    methods = [m for m in methods if args.only in (None, m.split("-")[0])]
    for rate in args.rates if not args.table else ():
        for method in methods:
            carry_out(method, rate, args)
    readme = args.results / "README.md"
    readme.write_text(f"{HEAD}\n<!-- table -->\n{table(args.results)}\n")
    print(table(args.results))


if __name__ == "__main__":
    main()
