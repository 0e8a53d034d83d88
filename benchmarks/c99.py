#!/usr/bin/env python3
"""LeNet-5 as C: bytes of flash, and microseconds a picture beside dense ONNX Runtime and dense PyTorch.

    python benchmarks/c99.py [--rounds 40] [--flags="-O2"]

One picture at a time on one core, all ways in turn in every round, so that ratios hold when the machine's speed drifts;
printed are medians over the rounds. Needs gcc and size (binutils); without the extra `onnx` its columns stay empty.
"""

import argparse
import ctypes
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from tighten.artifact import Artifact
from tighten.export import Network, export

RESULTS = Path(__file__).parents[1] / "results" / "lenet5"
FILES = ("lenet5-mnist-seed0", "lenet5-mnist-joint-seed0", "lenet5-mnist-ternary-seed0", "lenet5-mnist-binary-seed0")
SECONDS = 0.01
"""That each way runs in a round."""


def c_code(file: Path, folder: Path, flags: list[str], picture: np.ndarray) -> tuple[Callable[[], None], int, int]:
    """A call of the compiled C code, the bytes of its code and tables, and those of its arena."""
    path = folder / f"{file.stem.replace('-', '_')}.c"
    export(Artifact.open(file), "c99", path, beside=file)
    library, part = path.with_suffix(".so"), path.with_suffix(".o")
    subprocess.run(["gcc", "-std=c99", *flags, "-shared", "-fPIC", str(path), "-o", str(library)], check=True)
    subprocess.run(["gcc", "-std=c99", *flags, "-c", str(path), "-o", str(part)], check=True)
    told = subprocess.run(["size", str(part)], check=True, capture_output=True, text=True).stdout
    text, data, bss = map(int, told.splitlines()[1].split()[:3])
    function = getattr(ctypes.CDLL(str(library)), f"{path.stem}_run")
    function.restype = None
    logits = np.empty(10, dtype=np.float32)
    given, made = (ctypes.c_void_p(array.ctypes.data) for array in (picture, logits))
    network = Network.of(Artifact.open(file))
    function(given, made)
    expected = network.model(torch.from_numpy(picture))[0].numpy()
    assert np.abs(logits - expected).max() <= 1e-5 * np.abs(expected).max()
    keep = (picture, logits)  # as long as the addresses are used

    def call(keep: object = keep) -> None:
        function(given, made)

    return call, text + data, bss


def onnx(file: Path, folder: Path, picture: np.ndarray) -> Callable[[], None] | None:
    """A call of ONNX Runtime on the dense graph, with memory bound beforehand; None where it is not installed."""
    try:
        import onnxruntime
    except ImportError:
        return None
    path = folder / "dense.onnx"
    export(Artifact.open(file), "onnx", path, beside=file)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    binding = session.io_binding()
    binding.bind_cpu_input(session.get_inputs()[0].name, picture)
    binding.bind_output(session.get_outputs()[0].name)
    return lambda: session.run_with_iobinding(binding)


def pytorch(file: Path, picture: np.ndarray) -> Callable[[], None]:
    """A call of the plain model."""
    model, x = Network.of(Artifact.open(file)).model, torch.from_numpy(picture)

    def call() -> None:
        with torch.inference_mode():
            model(x)

    return call


def microseconds(call: Callable[[], object]) -> float:
    """The mean of as many calls as fill the time."""
    count, start = 0, time.perf_counter()
    while time.perf_counter() - start < SECONDS:
        for _ in range(5):
            call()
        count += 5
    return (time.perf_counter() - start) / count * 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--flags", default="-O2")
    args = parser.parse_args()
    torch.set_num_threads(1)
    picture = np.random.default_rng(0).standard_normal((1, 1, 28, 28), dtype=np.float32)
    with tempfile.TemporaryDirectory() as name, torch.no_grad():
        folder = Path(name)
        ways = {file: c_code(RESULTS / f"{file}.tight", folder, args.flags.split(), picture) for file in FILES}
        calls = {file: call for file, (call, _, _) in ways.items()}
        calls["PyTorch"] = pytorch(RESULTS / f"{FILES[0]}.tight", picture)
        if (call := onnx(RESULTS / f"{FILES[0]}.tight", folder, picture)) is not None:
            calls["ONNX Runtime"] = call
        for call in calls.values():
            call()
        rounds = [{name: microseconds(call) for name, call in calls.items()} for _ in range(args.rounds)]
    times = {name: statistics.median(row[name] for row in rounds) for name in calls}
    for name in ("PyTorch", "ONNX Runtime"):
        print(f"dense {name}: {f'{times[name]:.0f} microseconds' if name in times else 'not installed'}")
    print(f"\ngcc {args.flags}, one core, one picture\n")
    print("| network | code and tables | arena | microseconds | PyTorch / C | ONNX Runtime / C |\n" + "|---" * 6 + "|")
    for file in FILES:
        ratios = [
            f"{statistics.median(row[name] / row[file] for row in rounds):.1f}" if name in times else ""
            for name in ("PyTorch", "ONNX Runtime")
        ]
        _, flash, arena = ways[file]
        print(f"| `{file}` | {flash:,} B | {arena:,} B | {times[file]:.0f} | {' | '.join(ratios)} |")


if __name__ == "__main__":
    main()
