#!/usr/bin/env python3
"""What `tighten.runtime` gains beside dense PyTorch, dense ONNX Runtime and torch.sparse.

    python benchmarks/runtime.py [--quick] [--nets lenet5 alexnet] [--batches 1 64] [--threads 1 2]

All four run in turn in one process, so that the ratios hold when the machine's speed drifts. With one thread the time
that the thread computed is taken, with more the wall clock; of all runs the lower quartile. `torch.sparse` is what it
offers without more: linear layers with CSR weights, convolutions dense. The last column is the largest difference
between our outputs and PyTorch's, beside the largest output.

LeNet-5 is the shipped network at 246x. The others have random weights of He's distribution, N(0, 2 / inputs), pruned
by one magnitude threshold for the whole network: convolutions stay denser, large linear layers become very sparse.
What is left is scaled back to that variance. Outputs mean nothing; supports are spread as global magnitude spreads
them. Densities are printed. Batches of VGG-16 at ImageNet's size are cut to 16 pictures.
"""

import argparse
import importlib.util
import io
import warnings
from pathlib import Path

import numpy as np
import torch
from torch import nn

import tighten as tt
from tighten import runtime
from tighten.runtime.clock import race
from tighten.torchvision_ops import import_torchvision
from tighten.zoo import LeNet5

RESULT = Path(__file__).parents[1] / "results" / "lenet5" / "lenet5-mnist-seed0.tight"
RIVALS = ("PyTorch", "ONNX Runtime", "torch.sparse")


def lenet5() -> nn.Module:
    model = LeNet5()
    tt.load(RESULT, model)
    return model


def vgg16_cifar() -> nn.Module:
    features = import_torchvision().models.vgg16_bn(weights=None).features
    return pruned(nn.Sequential(features, nn.Flatten(), nn.Linear(512, 10)), 40)


def alexnet() -> nn.Module:
    return pruned(import_torchvision().models.alexnet(weights=None), 36)


def vgg16() -> nn.Module:
    return pruned(import_torchvision().models.vgg16(weights=None), 34)


# How it is built, the shape of an input, what it is called, and the largest batch that fits in a few gigabytes.
NETS = {
    "lenet5": (lenet5, (1, 28, 28), "LeNet-5, 246x", 64),
    "vgg16-cifar": (vgg16_cifar, (3, 32, 32), "VGG-16 (CIFAR-10), 40x", 64),
    "alexnet": (alexnet, (3, 224, 224), "AlexNet, 36x", 64),
    "vgg16": (vgg16, (3, 224, 224), "VGG-16 (ImageNet), 34x", 16),
}


def pruned(model: nn.Module, rate: float) -> nn.Module:
    """Random weights, the largest of the whole network kept, then scaled so that signals neither die nor grow."""
    torch.manual_seed(0)
    weights = [p.data for p in model.parameters() if p.dim() > 1]
    for weight in weights:
        nn.init.kaiming_normal_(weight)
    sizes = np.concatenate([weight.abs().flatten().numpy() for weight in weights])
    threshold = np.partition(sizes, cut := sizes.size - round(sizes.size / rate))[cut]
    for weight in weights:
        weight[weight.abs() < threshold] = 0
        weight *= (2 / weight[0].numel() / weight.square().mean()).sqrt()
    return model


def with_csr(model: nn.Module) -> nn.Module:
    """The model as torch.sparse makes it: CSR weights in linear layers."""
    for module in model.modules():
        if isinstance(module, nn.Linear):
            module.weight = nn.Parameter(module.weight.detach().to_sparse_csr(), requires_grad=False)
    return model


def onnx_session(model: nn.Module, x: torch.Tensor, threads: int):
    """A session of ONNX Runtime on the dense graph; None where it is not installed."""
    if not all(importlib.util.find_spec(name) for name in ("onnx", "onnxscript", "onnxruntime")):
        return None
    import onnxruntime

    stream = io.BytesIO()
    torch.onnx.export(model, (x,), dynamo=True, verbose=False).save(stream)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(stream.getvalue(), options, providers=["CPUExecutionProvider"])


def row(name: str, batch: int, threads: int, seconds: float) -> tuple[str, runtime.Report]:
    """One line of the table, and the report of the compiled network."""
    build, shape, title, most = NETS[name]
    batch = min(batch, most)
    torch.set_num_threads(threads)
    model = build().eval().requires_grad_(False)
    x = torch.randn(batch, *shape)
    compiled = runtime.compile(model, x, seconds=seconds)
    runners = {"PyTorch": lambda: model(x), "ours": lambda: compiled(x)}
    session = onnx_session(model, x, threads)
    if session is not None:
        feed = {session.get_inputs()[0].name: x.numpy()}
        runners["ONNX Runtime"] = lambda: session.run(None, feed)
    sparse = with_csr(build().eval().requires_grad_(False))
    runners["torch.sparse"] = lambda: sparse(x)
    with torch.no_grad():
        expected = model(x)
        off = float((compiled(x) - expected).abs().max() / expected.abs().max())
        times = race(runners, seconds)
    cells = [f"{times[rival] / times['ours']:.2f}x" if rival in times else "not installed" for rival in RIVALS]
    ms = f"{times['ours'] / 1000:.3g} ms"
    line = f"| {title} | {batch} | {threads} | {ms} | {' | '.join(cells)} | {off:.0e} |"
    return line, compiled.report


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nets", nargs="+", choices=NETS, default=list(NETS))
    parser.add_argument("--batches", nargs="+", type=int, default=[1, 64])
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--seconds", type=float, default=20.0, help="to measure layers, and again to compare")
    parser.add_argument("--quick", action="store_true", help="LeNet-5 and AlexNet, batch 1, one thread, a few seconds")
    args = parser.parse_args()
    if args.quick:
        args.nets, args.batches, args.threads, args.seconds = ["lenet5", "alexnet"], [1], [1], 5.0
    warnings.filterwarnings("ignore", "Sparse CSR tensor support is in beta", UserWarning)
    lines = [
        f"| network | batch | threads | ours | {' | '.join(f'{rival} / ours' for rival in RIVALS)} | difference |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for threads in args.threads:
        for name in args.nets:
            for batch in args.batches:
                line, report = row(name, batch, threads, args.seconds)
                lines.append(line)
                print(f"{NETS[name][2]}\n{report}\n{line}\n", flush=True)
    print("\n".join(lines))


if __name__ == "__main__":
    main()
