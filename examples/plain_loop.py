"""A plain PyTorch loop: gradients accumulated and clipped, bf16, a running average of the weights.

    python examples/plain_loop.py [--out digits.tight] [--epochs 4]

A small network on scikit-learn's handwritten digits, trained, then pruned 15x and quantized to 4 bits.
"""

import argparse

import torch
from torch.nn import functional as F
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

import tighten as tt
from tighten.data import batches, digits
from tighten.zoo import DigitsNet

ACCUMULATE = 2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", default="digits.tight")
    parser.add_argument("--epochs", type=int, default=4, help="of each part of the plan")
    args = parser.parse_args()

    torch.manual_seed(0)
    data = digits()
    loader = batches(data.train, 32, torch.Generator().manual_seed(0))
    model = DigitsNet()

    def train_one_epoch(optimizer, after_step=lambda: None):
        for i, (inputs, targets) in enumerate(loader, 1):
            with torch.autocast("cpu", torch.bfloat16):
                loss = F.cross_entropy(model(inputs).float(), targets) / ACCUMULATE
            loss.backward()
            if i % ACCUMULATE == 0 or i == len(loader):
                torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                optimizer.step()
                optimizer.zero_grad()
                after_step()

    def accuracy():
        with torch.no_grad():
            return 100 * (model(data.test.inputs).argmax(1) == data.test.targets).float().mean().item()

    optimizer = torch.optim.Adam(model.parameters(), lr=4e-3)
    for _ in range(2 * args.epochs):
        train_one_epoch(optimizer)
    print(f"dense: {accuracy():.2f} %")

    plan = tt.progressive(rate=15, bits=4, steps=2, epochs=args.epochs)
    session = tt.Session(model, plan, steps_per_epoch=-(-len(loader) // ACCUMULATE))
    for stage in session:
        optimizer = torch.optim.Adam(model.parameters(), lr=4e-3)
        scheduler = stage.scheduler(optimizer)
        average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.95))

        def after_step(scheduler=scheduler, average=average):
            scheduler.step()
            average.update_parameters(model)

        with stage.attached(optimizer):
            for _ in range(stage.epochs):
                train_one_epoch(optimizer, after_step)
            if isinstance(plan[stage.index].method, tt.Masked):
                # Before the stage ends, so that what is saved is the average, put on its sets.
                model.load_state_dict(average.module.state_dict())
        print(f"{stage}: {accuracy():.2f} %")

    session.save(args.out)
    print(session.report())


if __name__ == "__main__":
    main()
