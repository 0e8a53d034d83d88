"""Lightning's Trainer: a whole plan in one fit, by a callback.

python examples/lightning_trainer.py [--out digits.tight] [--epochs 4]
"""
# ruff: noqa: I001 - tighten comes first: it helps where the build of torchvision does not fit that of PyTorch

import argparse

import tighten as tt
from tighten.data import digits
from tighten.integrations.lightning import Tighten
from tighten.zoo import DigitsNet

import torch
from lightning.pytorch import LightningModule, Trainer
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset


class Digits(LightningModule):
    """An ordinary module of Lightning."""

    def __init__(self):
        super().__init__()
        self.net = DigitsNet()

    def training_step(self, batch, index):
        return F.cross_entropy(self.net(batch[0]), batch[1])

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=2e-3)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", default="digits.tight")
    parser.add_argument("--epochs", type=int, default=4, help="of each part of the plan")
    args = parser.parse_args()

    torch.manual_seed(0)
    data = digits()
    loader = DataLoader(TensorDataset(data.train.inputs, data.train.targets), 32, shuffle=True)
    quiet = dict.fromkeys(["logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"], False)
    quiet["accelerator"] = "cpu"
    module = Digits()

    def accuracy():
        with torch.no_grad():
            return 100 * (module.net(data.test.inputs).argmax(1) == data.test.targets).float().mean().item()

    Trainer(max_epochs=2 * args.epochs, **quiet).fit(module, loader)
    print(f"dense: {accuracy():.2f} %")

    plan = tt.progressive(rate=15, bits=4, steps=2, epochs=args.epochs)
    session = tt.Session(module.net, plan, steps_per_epoch=len(loader))
    trainer = Trainer(callbacks=[Tighten(session)], max_epochs=plan.epochs, gradient_clip_val=1.0, **quiet)
    trainer.fit(module, loader)
    print(f"compressed: {accuracy():.2f} %")

    session.save(args.out)
    print(session.report())


if __name__ == "__main__":
    main()
