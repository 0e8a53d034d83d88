#!/usr/bin/env python3
"""Files of large networks: bytes, speed and memory.

    python benchmarks/scale.py [--network alexnet vgg16] [--environment DIR] [--json FILE]

Weights of AlexNet and VGG-16 (ImageNet shapes): 4-bit levels, 36 times pruned with rows and columns that are used
unevenly, or dense. Values are drawn, not trained: such large trained networks are not at hand. Speeds are MB of dense
float32 a second of one processor's time. Memory is the peak of a process of its own, less what it had before (a model
to load into, too), as a multiple of the dense state dict. With the environment that `codecs.py` makes, DeepCABAC codes
the same levels.
"""

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from deepcabac import deepcabac, grid
from torch import nn

from tighten.artifact import Artifact, load, state_dict
from tighten.codes import Code, Indexed, Sparse

CONV = [(64, 3), (64, 64), (128, 64), (128, 128), (256, 128), (256, 256), (256, 256), (512, 256), *[(512, 512)] * 5]
SHAPES: dict[str, list[tuple[int, ...]]] = {
    "small": [(20, 30), (1000, 1000)],
    "alexnet": [
        (64, 3, 11, 11), (192, 64, 5, 5), (384, 192, 3, 3), (256, 384, 3, 3), (256, 256, 3, 3),
        (4096, 9216), (4096, 4096), (1000, 4096),
    ],
    "vgg16": [*((*pair, 3, 3) for pair in CONV), (4096, 25088), (4096, 4096), (1000, 4096)],
}  # fmt: skip
RATE = 36
KINDS = ("pruned", "dense")


def code(shape: tuple[int, ...], kind: str, draw: torch.Generator) -> Code:
    """Drawn levels on a drawn support."""
    count = math.prod(shape)
    if kind == "dense":
        index = torch.randn(shape, generator=draw).mul_(2.5).round_().clamp_(-8, 7).add_(8).to(torch.uint8)
        return Indexed(index, torch.arange(-8.0, 8.0), torch.tensor([0.013]), torch.tensor([count]))
    columns = count // shape[0]
    use = torch.exp(torch.randn(shape[0], 1, generator=draw) / 2) * torch.exp(torch.randn(columns, generator=draw) / 2)
    kept = (torch.rand(shape[0], columns, generator=draw) < use.div_(use.mean() * RATE)).view(shape)
    many = int(kept.count_nonzero())
    size = torch.randn(many, generator=draw).mul_(2.5).abs_().clamp_(max=7).to(torch.uint8)
    index = torch.where(torch.rand(many, generator=draw) < 0.5, 7 - size, 8 + size)
    steps = torch.tensor([float(v) for v in range(-8, 9) if v])
    return Sparse(kept, (1,) * len(shape), Indexed(index, steps, torch.tensor([0.013]), torch.tensor([many])))


def made(network: str, kind: str) -> Artifact:
    draw = torch.Generator().manual_seed(0)
    codes = {f"{i}.weight": code(shape, kind, draw) for i, shape in enumerate(SHAPES[network])}
    return Artifact(codes, {}, tuple(codes), {}, {})


def peak() -> int:
    """The most bytes this process has held. What `resource` says would count the parent's, too."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


def model(network: str) -> nn.Module:
    """A model with these weights, all one."""
    layers = nn.Sequential()
    for shape in SHAPES[network]:
        layer = nn.Module()
        layer.weight = nn.Parameter(torch.ones(shape))
        layers.append(layer)
    return layers


def alone(task: str, network: str, file: str) -> dict[str, float]:
    """Time and peak memory of one task in this process, which has done the same with a small file before.

    A model to load into is there before: its weights do not count.
    """
    models = {name: model(name) for name in ("small", network)} if task == "load" else {}
    tasks: dict[str, Callable[[str | Path, str], object]] = {
        "state dict": lambda path, _: state_dict(path),
        "open": lambda path, _: Artifact.open(path).state_dict(),
        "load": lambda path, name: load(path, models[name]),
        "encode": lambda path, _: Artifact.open(path).to_bytes(),
    }
    with tempfile.TemporaryDirectory() as folder:
        for kind in KINDS:
            made("small", kind).save(Path(folder) / kind)
            tasks[task](Path(folder) / kind, "small")
    before, start = peak(), time.process_time()
    tasks[task](file, network)
    seconds = time.process_time() - start
    return {"seconds": seconds, "bytes": peak() - before}


def measured(network: str, kind: str, environment: Path | None) -> dict[str, float]:
    made("small", kind).to_bytes()  # what is compiled on first use is none of the work
    artifact = made(network, kind)
    grids = {name: grid(code)[0] for name, code in artifact.codes.items()} if environment else {}
    dense = 4 * sum(math.prod(code.shape) for code in artifact.codes.values())
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "net.tight"
        start = time.process_time()
        sizes = artifact.save(file)
        encoding = time.process_time() - start
        row = {"dense_bytes": dense, "file_bytes": sizes.total, "encode_MB_per_s": dense / encoding / 1e6}
        del artifact
        for task in ("state dict", "open", "load", "encode"):
            command = [sys.executable, __file__, "--alone", task, network, str(file)]
            told = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
            row[f"{task}: memory"] = told["bytes"] / dense
            if task != "encode":
                row[f"{task}: MB_per_s"] = dense / told["seconds"] / 1e6
    if environment:
        row["of DeepCABAC"] = (sizes.positions + sizes.values) / deepcabac(grids, environment)
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", nargs="+", default=["alexnet", "vgg16"], choices=list(SHAPES))
    parser.add_argument("--environment", type=Path)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--alone", nargs=3, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    if chosen.alone:
        print(json.dumps(alone(*chosen.alone)))
        return
    rows = {}
    for network in chosen.network:
        for kind in KINDS:
            rows[f"{network}, {kind}"] = row = measured(network, kind, chosen.environment)
            print(f"{network}, {kind}, load {os.getloadavg()[0]:.1f}", flush=True)
            for name, value in row.items():
                print(f"  {name:24} {value:14,.3f}", flush=True)
    if chosen.json:
        chosen.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
