#!/usr/bin/env python3
"""VGG-16 on CIFAR-10 on one GPU: pruned 20x and 75x, every layer binary, and a whole file 250x smaller.

    python benchmarks/gpu_cifar10.py --data DIR [--seeds 0 1] [--rows dense pruned-20x ...] [--minutes 9]
    python benchmarks/gpu_cifar10.py --files          encodes what is finished; needs no GPU

Needs torch, torchvision, and the wheels numpy and constriction beside a checkout (PYTHONPATH=src); about 25 minutes
on one H200 for two seeds. A call works for --minutes, keeps where it is in --runs, and is repeated until it says that
all is done. Settings are fixed beforehand, by the shipped recipes and the papers: all 50,000 training pictures are
trained on, nothing is decided by the test set, accuracy is that of the last epoch. `--epochs 0.01 --pictures 32`
tries everything out on a CPU.
"""

import argparse
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim.swa_utils import update_bn

import tighten as tt
from tighten.data.cifar10 import CIFAR10
from tighten.report import report
from tighten.torchvision_ops import import_torchvision
from tighten.zoo import vgg16_cifar10

HERE = Path(__file__).resolve().parent.parent
BATCH, PAD, SAVE_EVERY = 512, 4, 10
DENSE_EPOCHS, PEAK, DECAY = 80, 0.2, 5e-4
RATE, BITS = 1e-3, 3  # of Adam, in all stages; of a kept value in the joint row
FACTS = {"model": "tighten.zoo:vgg16_cifar10", "data": "tighten.data:cifar10"}
AIMS = {
    "pruned-20x": "no loss at 20x (paper: 11.5x)",
    "pruned-75x": "at most 0.8 points at 75x (paper: 40.3x)",
    "binary": "every layer binary, within 0.3 points (paper: lossless)",
    "joint": "whole file 250x smaller, at most 0.5 points",
}


class OutOfTime(Exception):
    """The call's minutes are over; what is done is kept."""


def prune(rate: float, admm: int, retrain: int, rho_end: float = 0.2) -> list[tt.Stage]:
    """One step of pruning the whole network."""
    method = tt.Admm(rho=2e-3, rho_end=rho_end, updates_per_epoch=1)
    first = tt.Stage({"*": tt.Sparse()}, method, epochs=admm, budget=tt.Budget(rate=rate), name=f"admm {rate:g}x")
    return [first, tt.Stage({}, tt.Masked(), epochs=retrain, name=f"retrain {rate:g}x")]


def plan(row: str) -> list[tt.Stage]:
    """The stages of a row, from the dense network."""
    if row == "pruned-20x":
        return prune(20, 40, 40)
    if row == "pruned-75x":
        return [*prune(20, 24, 8, 0.05), *prune(75, 40, 48)]
    if row == "binary":
        return [tt.Stage({"*": tt.Binary()}, tt.StraightThrough(), epochs=120, name="levels")]
    levels = tt.Stage({"*": tt.Uniform(bits=BITS, zero=False)}, tt.StraightThrough(), epochs=36, name=f"{BITS} bits")
    return [*prune(20, 24, 8, 0.05), *prune(120, 40, 32), levels]


@dataclass
class Pictures:
    """A part of CIFAR-10 on the device, normalised.

    Args:
        inputs, targets: all of them.
        generator: of order and augmentation, on the device.
    """

    inputs: Tensor
    targets: Tensor
    generator: torch.Generator

    @classmethod
    def read(cls, root: Path, train: bool, device: torch.device, seed: int) -> "Pictures":
        raw = import_torchvision().datasets.CIFAR10(root, train=train)
        pictures = torch.as_tensor(raw.data).to(device).permute(0, 3, 1, 2).float() / 255
        mean, std = (torch.tensor(v, device=device).view(1, 3, 1, 1) for v in (CIFAR10.mean, CIFAR10.std))
        generator = torch.Generator(device).manual_seed(seed)
        return cls((pictures - mean) / std, torch.tensor(raw.targets, device=device), generator)

    def first(self, count: int | None) -> "Pictures":
        """So many of them, or all."""
        return Pictures(self.inputs[:count], self.targets[:count], self.generator)

    def batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Shuffled batches, each picture shifted by up to four pixels and mirrored half the time."""
        order = torch.randperm(len(self.targets), device=self.targets.device, generator=self.generator)
        for index in order.split(BATCH):
            yield self._changed(self.inputs[index]), self.targets[index]

    def _changed(self, x: Tensor) -> Tensor:
        n, device = len(x), x.device
        black = torch.tensor(CIFAR10.black, device=device).view(1, 3, 1, 1)
        windows = (F.pad(x - black, (PAD,) * 4) + black).unfold(2, 32, 1).unfold(3, 32, 1)
        dy, dx = torch.randint(2 * PAD + 1, (2, n), device=device, generator=self.generator)
        x = windows[torch.arange(n, device=device), :, dy, dx]
        mirrored = torch.rand(n, 1, 1, 1, device=device, generator=self.generator) < 0.5
        return torch.where(mirrored, x.flip(3), x).contiguous(memory_format=torch.channels_last)


class Job:
    """One seed's networks, made as far as time allows.

    Args:
        args: of the command line.
        seed: of everything.
        train, test: the pictures.
        until: when to stop, by `time.monotonic`.
    """

    def __init__(self, args: argparse.Namespace, seed: int, train: Pictures, test: Pictures, until: float) -> None:
        self.args, self.seed, self.train, self.test, self.until = args, seed, train, test, until
        self.device = train.inputs.device
        self.steps = -(-len(train.targets) // BATCH)

    def dense(self) -> nn.Module:
        """The dense network: SGD under one cycle, trained unless it was before."""
        torch.manual_seed(self.seed)
        model, epochs = on(self.device, vgg16_cifar10()), self.epochs(DENSE_EPOCHS)
        decayed = [p for p in model.parameters() if p.ndim > 1]
        rest = [p for p in model.parameters() if p.ndim < 2]
        groups = [{"params": decayed, "weight_decay": DECAY}, {"params": rest, "weight_decay": 0.0}]
        optimizer = torch.optim.SGD(groups, lr=PEAK, momentum=0.9, nesterov=True)
        scheduler = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, PEAK, total_steps=epochs * self.steps + 1, pct_start=0.2, cycle_momentum=False
        )
        parts = {"model": model, "optimizer": optimizer, "scheduler": scheduler}
        done, history = self.restore("dense", parts)
        for number in range(done + 1, epochs + 1):
            history.append(self.epoch("dense", number, model, None, None, optimizer, scheduler))
            self.keep("dense", parts, number, history, last=number == epochs)
        if done < epochs:
            self.write("dense", model, history, None)
        return model

    def row(self, row: str, teacher: nn.Module) -> None:
        """One row, from the dense network to its last epoch."""
        model = on(self.device, vgg16_cifar10())
        model.load_state_dict(teacher.state_dict())
        stages = [self.scaled(stage) for stage in plan(row)]
        session = tt.Session(model, stages, steps_per_epoch=self.steps, facts=FACTS)
        parts = {"model": model, "session": session}
        state = self.load(row)
        done, history = (state["done"], state["history"]) if state else (0, [])
        if state:
            model.load_state_dict(state["model"])
            session.load_state_dict(state["session"])
            self.train.generator.set_state(state["generator"].cpu())
        else:
            self.train.generator.manual_seed(self.seed + 1)
        # Binary networks learn best from outputs that are nearer to the labels.
        distill = (2.0, 0.7) if row == "binary" else (4.0, 0.9)
        for stage in session:
            optimizer = torch.optim.Adam(model.parameters(), lr=RATE, fused=self.device.type == "cuda")
            scheduler = stage.scheduler(optimizer)
            if state and state.get("optimizer"):
                optimizer.load_state_dict(state["optimizer"])
                scheduler.load_state_dict(state["scheduler"])
            state = None
            within = {**parts, "optimizer": optimizer, "scheduler": scheduler}
            with stage.attached(optimizer):
                for number in range(stage.start_epoch + 1, stage.epochs + 1):
                    history.append(self.epoch(str(stage), number, model, teacher, distill, optimizer, scheduler))
                    done += 1
                    if number < stage.epochs:
                        self.keep(row, within, done, history, last=False)
            if stage.solver.stage.method.commits:
                self.statistics(model)
            self.keep(row, parts, done, history, last=session.done == len(session.plan))
        self.write(row, model, history, accuracy(teacher, self.test))

    def epoch(
        self,
        name: str,
        number: int,
        model: nn.Module,
        teacher: nn.Module | None,
        distill: tuple[float, float] | None,
        optimizer: torch.optim.Optimizer,
        scheduler: Any,
    ) -> dict[str, Any]:
        """One pass over the training pictures."""
        start, total = time.perf_counter(), torch.zeros((), device=self.device)
        model.train()
        for inputs, targets in self.train.batches():
            with torch.autocast(self.device.type, torch.bfloat16):
                outputs = model(inputs)
            loss = F.cross_entropy(outputs.float(), targets)
            if teacher is not None and distill is not None:
                loss = distilled(loss, outputs, teacher, inputs, *distill)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            scheduler.step()
            total += loss.detach()
        seconds = time.perf_counter() - start
        found = {"stage": name, "epoch": number, "loss": float(total) / self.steps, "seconds": round(seconds, 2)}
        print(f"seed {self.seed} {name} {number}: loss {found['loss']:.4f}, {seconds:.1f} s", flush=True)
        if not torch.isfinite(total):
            raise SystemExit(f"the loss of '{name}' is not finite in epoch {number}: lower its learning rate")
        return found

    def epochs(self, planned: int) -> int:
        """The planned epochs, times the factor of the command line."""
        return max(1, round(planned * self.args.epochs))

    def scaled(self, stage: tt.Stage) -> tt.Stage:
        """A stage for the epochs of the command line."""
        return replace(stage, epochs=self.epochs(stage.epochs))

    def statistics(self, model: nn.Module) -> None:
        """Batch norm statistics of the committed weights, over about 10,000 pictures as they are trained on."""
        update_bn((inputs for inputs, _ in islice(self.train.batches(), 10_000 // BATCH + 1)), model)

    def restore(self, row: str, parts: dict[str, Any]) -> tuple[int, list[dict[str, Any]]]:
        """The parts as they were kept, and what was done."""
        state = self.load(row)
        if state is None:
            self.train.generator.manual_seed(self.seed)
            return 0, []
        for name, part in parts.items():
            part.load_state_dict(state[name])
        self.train.generator.set_state(state["generator"].cpu())
        return state["done"], state["history"]

    def load(self, row: str) -> dict[str, Any] | None:
        path = self.args.runs / f"{row}-seed{self.seed}.pt"
        return torch.load(path, map_location=self.device, weights_only=True) if path.exists() else None

    def keep(self, row: str, parts: dict[str, Any], done: int, history: list[dict[str, Any]], *, last: bool) -> None:
        """A checkpoint, now and then, at the end, and when time is up.

        Raises:
            OutOfTime: it is up.
        """
        late = time.monotonic() > self.until
        if not (late or last or done % SAVE_EVERY == 0):
            return
        state = {name: part.state_dict() for name, part in parts.items()}
        state |= {"generator": self.train.generator.get_state(), "done": done, "history": history}
        path = self.args.runs / f"{row}-seed{self.seed}.pt"
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.save(state, path.with_suffix(".new"))
        path.with_suffix(".new").replace(path)
        if late and not last:
            raise OutOfTime

    def write(self, row: str, model: nn.Module, history: list[dict[str, Any]], dense: float | None) -> None:
        """The result of a finished row as JSON."""
        kept = sum(int(p.count_nonzero()) for p in model.parameters() if p.ndim > 1)
        found = {
            "row": row,
            "seed": self.seed,
            "dense_accuracy": dense,
            "accuracy": accuracy(model, self.test),
            "kept": kept,
            "weights": sum(p.numel() for p in model.parameters() if p.ndim > 1),
            "epochs": len(history),
            "partial": self.args.epochs < 1 or self.args.pictures is not None,
            "seconds": round(sum(epoch["seconds"] for epoch in history), 1),
            "device": torch.cuda.get_device_name() if self.device.type == "cuda" else "cpu",
            "torch": torch.__version__,
            "history": history,
        }
        self.args.results.mkdir(parents=True, exist_ok=True)
        (self.args.results / f"{row}-seed{self.seed}.json").write_text(json.dumps(found, indent=1))


def on(device: torch.device, model: nn.Module) -> nn.Module:
    """A network on the device, channels last."""
    return model.to(device).to(memory_format=torch.channels_last)


def distilled(
    loss: Tensor, outputs: Tensor, teacher: nn.Module, inputs: Tensor, temperature: float, weight: float
) -> Tensor:
    """The loss with learning from the dense network."""
    with torch.no_grad(), torch.autocast(inputs.device.type, torch.bfloat16):
        wanted = teacher(inputs)
    soft = F.kl_div(
        F.log_softmax(outputs.float() / temperature, 1),
        F.log_softmax(wanted.float() / temperature, 1),
        log_target=True,
        reduction="batchmean",
    )
    return (1 - weight) * loss + weight * temperature**2 * soft


@torch.no_grad()
def accuracy(model: nn.Module, data: Pictures) -> float:
    """Test accuracy in percent, in float32."""
    model.eval()
    parts = zip(data.inputs.split(1000), data.targets.split(1000), strict=True)
    return 100 * sum(int((model(x).argmax(1) == y).sum()) for x, y in parts) / len(data.targets)


def files(args: argparse.Namespace) -> None:
    """The `.tight` file of each finished row, and its size in the row's JSON."""
    for path in sorted(args.results.glob("*-seed*.json")):
        found, file = json.loads(path.read_text()), path.with_suffix(".tight")
        if found["row"] == "dense" or file.exists():
            continue
        model = vgg16_cifar10()
        session = tt.Session(model, plan(found["row"]), steps_per_epoch=1)
        state = torch.load(args.runs / f"{path.stem}.pt", map_location="cpu", weights_only=True)
        model.load_state_dict(state["model"])
        session.load_state_dict(state["session"])
        claims = {"accuracy": round(found["accuracy"], 4), "dense": round(found["dense_accuracy"], 4)}
        session.save(file, {**FACTS, "claims": claims})
        found["report"] = report(tt.Artifact.open(file)).to_data()
        found["bytes"] = file.stat().st_size
        found["bytes_rate"] = 4 * sum(p.numel() for p in model.parameters()) / found["bytes"]
        path.write_text(json.dumps(found, indent=1))
        print(f"{file}: {found['bytes']:,} bytes, {found['bytes_rate']:.0f}x smaller", flush=True)
    print(table(args.results))


def table(results: Path) -> str:
    """The results at hand as Markdown."""
    lines = [
        "| row | aim | seed | dense % | test % | lost | rate | file | epochs |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for path in sorted(results.glob("*-seed*.json")):
        r = json.loads(path.read_text())
        if r["row"] == "dense":
            continue
        file = f"{r['bytes']:,} B, {r['bytes_rate']:.0f}x" if "bytes" in r else "not encoded yet"
        label = r["row"] + (" (PARTIAL)" if r["partial"] else "")
        lost, rate = r["dense_accuracy"] - r["accuracy"], r["weights"] / max(1, r["kept"])
        lines.append(
            f"| {label} | {AIMS[r['row']]} | {r['seed']} | {r['dense_accuracy']:.2f} | **{r['accuracy']:.2f}** "
            f"| {lost:+.2f} | {rate:.1f}x | {file} | {r['epochs']} |"
        )
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> bool:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder of CIFAR-10")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--rows", nargs="+", choices=list(AIMS), default=list(AIMS))
    parser.add_argument("--minutes", type=float, default=9.0, help="of a call")
    parser.add_argument("--epochs", type=float, default=1.0, help="factor on all epochs")
    parser.add_argument("--pictures", type=int, help="of each part, in place of all of them")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--runs", type=Path, default=HERE / "runs" / "gpu_cifar10")
    parser.add_argument("--results", type=Path, default=HERE / "results" / "vgg16-cifar10")
    parser.add_argument("--files", action="store_true", help="encode what is finished")
    args = parser.parse_args(arguments)
    if args.files:
        files(args)
        return True
    if args.data is None:
        parser.error("give --data DIR")
    until, device = time.monotonic() + 60 * args.minutes, torch.device(args.device)
    torch.backends.cudnn.benchmark = True
    torch.set_float32_matmul_precision("high")
    train, test = (Pictures.read(args.data, part, device, 0).first(args.pictures) for part in (True, False))
    try:
        for seed in args.seeds:
            job = Job(args, seed, train, test, until)
            teacher = job.dense().eval()
            for row in args.rows:
                if not (args.results / f"{row}-seed{seed}.json").exists():
                    job.row(row, teacher)
    except OutOfTime:
        print("time is up: call again to go on", flush=True)
        return False
    print(table(args.results))
    print("all is done; now --files", flush=True)
    return True


if __name__ == "__main__":
    sys.exit(0 if main() else 3)
