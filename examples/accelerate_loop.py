"""A loop of Hugging Face Accelerate, with gradients accumulated and clipped and a state that it can go on from.

    python examples/accelerate_loop.py [--out digits.tight] [--epochs 4] [--state FOLDER]

Stopped and started again with the same `--state`, it goes on at its last finished epoch.
"""

import argparse
from pathlib import Path

import torch
from accelerate import Accelerator
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

import tighten as tt
from tighten.data import digits
from tighten.integrations.accelerate import session as session_of
from tighten.zoo import DigitsNet


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", default="digits.tight")
    parser.add_argument("--epochs", type=int, default=4, help="of each part of the plan")
    parser.add_argument("--state", type=Path, help="folder of the state of the run")
    args = parser.parse_args()

    torch.manual_seed(0)
    accelerator = Accelerator(gradient_accumulation_steps=2)
    data = digits()
    dataset = TensorDataset(data.train.inputs, data.train.targets)
    model, loader = accelerator.prepare(DigitsNet(), DataLoader(dataset, 32, shuffle=True))
    plan = tt.progressive(rate=15, bits=4, steps=2, epochs=args.epochs)
    session = session_of(accelerator, model, plan, loader)
    # One optimizer for all: its state is part of what Accelerate saves.
    optimizer = accelerator.prepare(torch.optim.Adam(model.parameters(), lr=4e-3))

    def train_one_epoch(scheduler=None):
        for inputs, targets in loader:
            with accelerator.accumulate(model):
                accelerator.backward(F.cross_entropy(model(inputs), targets))
                if accelerator.sync_gradients:
                    accelerator.clip_grad_norm_(model.parameters(), 1.0)
                optimizer.step()
                optimizer.zero_grad()
                if scheduler is not None and accelerator.sync_gradients:
                    scheduler.step()

    def accuracy():
        with torch.no_grad():
            found = model(data.test.inputs.to(accelerator.device)).argmax(1)
        return 100 * (found == data.test.targets.to(accelerator.device)).float().mean().item()

    if args.state is not None and args.state.exists():
        accelerator.load_state(args.state)
    else:
        for _ in range(2 * args.epochs):
            train_one_epoch()
        accelerator.print(f"dense: {accuracy():.2f} %")

    for stage in session:
        scheduler = stage.scheduler(optimizer)
        with stage.attached(optimizer):
            for _ in range(stage.start_epoch, stage.epochs):
                train_one_epoch(scheduler)
                if args.state is not None:
                    accelerator.save_state(args.state)
        accelerator.print(f"{stage}: {accuracy():.2f} %")

    if accelerator.is_main_process:
        session.save(args.out)
        accelerator.print(session.report())


if __name__ == "__main__":
    main()
