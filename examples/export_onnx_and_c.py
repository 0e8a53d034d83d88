"""From training to other programs: a small network as ONNX for a runtime, and as C for a device.

    python examples/export_onnx_and_c.py [--out digits.tight] [--epochs 4]

Writes digits.tight and, beside it, digits.int.onnx (weights of few bits), digits.c and digits.h. Needs `tighten[onnx]`.
"""

import argparse
from pathlib import Path

import onnxruntime
import torch
from torch.nn import functional as F

import tighten as tt
from tighten.data import batches, digits
from tighten.export import Network, export
from tighten.zoo import DigitsNet


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", default="digits.tight", type=Path)
    parser.add_argument("--epochs", type=int, default=4, help="of each stage")
    args = parser.parse_args()

    torch.manual_seed(0)
    data = digits()
    loader = batches(data.train, 32, torch.Generator().manual_seed(0))
    model = DigitsNet()

    def train(optimizer, epochs, after_step=lambda: None):
        for _ in range(epochs):
            for inputs, targets in loader:
                optimizer.zero_grad()
                F.cross_entropy(model(inputs), targets).backward()
                optimizer.step()
                after_step()

    train(torch.optim.Adam(model.parameters(), lr=4e-3), 2 * args.epochs)
    print(f"dense: {sum(p.numel() for p in model.parameters()):,} parameters")
    session = tt.Session(model, tt.progressive(rate=15, bits=3, epochs=args.epochs), steps_per_epoch=len(loader))
    for stage in session:
        optimizer = torch.optim.Adam(model.parameters(), lr=4e-3)
        scheduler = stage.scheduler(optimizer)
        with stage.attached(optimizer):
            train(optimizer, stage.epochs, scheduler.step)
    session.save(args.out)
    print(session.report())

    artifact = tt.Artifact.open(args.out)
    for form in ("onnx-int", "c99"):
        written = export(artifact, form, beside=args.out, network=lambda: Network.of(artifact, DigitsNet(), (1, 8, 8)))
        print(f"{written.path}: {written.path.stat().st_size:,} bytes", *written.lines, sep="\n  ")

    # No tighten and no PyTorch is needed to use the files.
    runtime = onnxruntime.InferenceSession(args.out.with_suffix(".int.onnx"))
    (scores,) = runtime.run(None, {"input": data.test.inputs.numpy()})
    right = (torch.from_numpy(scores).argmax(1) == data.test.targets).float().mean().item()
    print(f"onnxruntime: {100 * right:.2f} % of the test pictures")


if __name__ == "__main__":
    main()
