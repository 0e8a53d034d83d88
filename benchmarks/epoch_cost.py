#!/usr/bin/env python3
"""What an epoch of the built-in trainer costs beside a bare PyTorch loop over the same tensors.

    python benchmarks/epoch_cost.py --data DIR [--threads 2] [--rounds 3]

LeNet-5, MNIST, batch 128, Adam, random shifts, channels last. Each round times a part of an epoch of each kind
in turn, so that the ratio holds when the machine's speed drifts. The stage is ADMM with two updates in the
timed steps. `--precision bf16` does both in bf16.
"""

import argparse
import statistics
import time
from pathlib import Path

import torch
import torch.nn.functional as F

import tighten as tt
from tighten.data import ImageData, Shift, TensorData, mnist
from tighten.engine.events import Listener
from tighten.engine.processes import Processes
from tighten.engine.trainer import Trainer
from tighten.recipes import Training
from tighten.zoo import LeNet5

BATCH = 128


def bare(data: TensorData, precision: str) -> float:
    """Seconds per step of the plainest loop."""
    net = LeNet5().to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
    start = time.perf_counter()
    order = torch.randperm(len(data))
    for index in order.split(BATCH):
        dy, dx = torch.randint(0, 5, (2,)).tolist()
        padded = F.pad(data.inputs[index], (2, 2, 2, 2), value=-0.4242)
        inputs = padded[:, :, dy : dy + 28, dx : dx + 28].contiguous(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            outputs = net(inputs)
        loss = F.cross_entropy(outputs.float(), data.targets[index])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return (time.perf_counter() - start) / len(order.split(BATCH))


def trained(data: TensorData, precision: str, constrained: bool) -> float:
    """Seconds per step of the built-in trainer, without the validation after the epoch."""
    net = LeNet5().to(memory_format=torch.channels_last)
    few = data.subset(torch.arange(1000))
    trainer = Trainer(
        model=net,
        data=ImageData(data, few, few, classes=10, fill=-0.4242),
        processes=Processes(),
        batch_size=BATCH,
        generator=torch.Generator().manual_seed(0),
        augment=Shift(2, fill=-0.4242),
        optimizer=lambda model, rate: torch.optim.Adam(model.parameters(), lr=rate),
        listener=Listener(),
        precision="bf16" if precision == "bf16" else "fp32",
    )
    training = Training(epochs=1, learning_rate=1e-3)
    optimizer = trainer.optimizer(net, 1e-3)
    if not constrained:
        scheduler = torch.optim.lr_scheduler.ConstantLR(optimizer, 1.0)
        return trainer.epoch("plain", 1, training, optimizer, scheduler).seconds / trainer.steps_per_epoch
    stages = [tt.Stage({"*": tt.Sparse()}, tt.Admm(), 1, budget=tt.Budget(rate=246))]
    for stage in tt.Session(net, stages, steps_per_epoch=trainer.steps_per_epoch):
        with stage.attached(optimizer):
            seconds = trainer.epoch("admm", 1, training, optimizer, stage.scheduler(optimizer)).seconds
    return seconds / trainer.steps_per_epoch


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="fp32")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    data = mnist(args.data).train.subset(torch.arange(20_000))
    plain, attached = [], []
    for _ in range(args.rounds + 1):
        b = bare(data, args.precision)
        plain.append(trained(data, args.precision, constrained=False) / b)
        attached.append(trained(data, args.precision, constrained=True) / b)
    epoch = b * 60_000 / BATCH
    print(f"bare loop: {epoch:.1f} s an epoch of 60,000 ({args.precision}, {args.threads} threads)")
    for name, ratios in (("plain training", plain[1:]), ("ADMM stage", attached[1:])):
        print(f"{name}: {statistics.median(ratios):.3f}x the bare loop ({min(ratios):.3f} to {max(ratios):.3f})")


if __name__ == "__main__":
    main()
