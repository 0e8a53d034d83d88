"""A loop of Lightning Fabric in bf16.

python examples/fabric_loop.py [--out digits.tight] [--epochs 4]
"""
# ruff: noqa: I001 - tighten comes first: it helps where the build of torchvision does not fit that of PyTorch

import argparse

import tighten as tt
from tighten.data import digits
from tighten.integrations.fabric import session as session_of
from tighten.zoo import DigitsNet

import torch
from lightning.fabric import Fabric
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", default="digits.tight")
    parser.add_argument("--epochs", type=int, default=4, help="of each part of the plan")
    args = parser.parse_args()

    torch.manual_seed(0)
    fabric = Fabric(accelerator="cpu", precision="bf16-mixed")
    data = digits()
    dataset = TensorDataset(data.train.inputs, data.train.targets)
    module = DigitsNet()
    model, optimizer = fabric.setup(module, torch.optim.Adam(module.parameters(), lr=2e-3))
    loader = fabric.setup_dataloaders(DataLoader(dataset, 32, shuffle=True))

    def train_one_epoch(scheduler=None):
        for inputs, targets in loader:
            fabric.backward(F.cross_entropy(model(inputs), targets))
            fabric.clip_gradients(model, optimizer, max_norm=1.0)
            optimizer.step()
            optimizer.zero_grad()
            if scheduler is not None:
                scheduler.step()

    def accuracy():
        with torch.no_grad():
            return 100 * (model(data.test.inputs).argmax(1) == data.test.targets).float().mean().item()

    for _ in range(2 * args.epochs):
        train_one_epoch()
    print(f"dense: {accuracy():.2f} %")

    session = session_of(model, tt.progressive(rate=15, bits=4, steps=2, epochs=args.epochs), loader)
    for stage in session:
        scheduler = stage.scheduler(optimizer)
        with stage.attached(optimizer):
            for _ in range(stage.epochs):
                train_one_epoch(scheduler)
        print(f"{stage}: {accuracy():.2f} %")

    session.save(args.out)
    print(session.report())


if __name__ == "__main__":
    main()
