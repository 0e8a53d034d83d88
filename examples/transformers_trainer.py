"""The Trainer of Hugging Face transformers: a small language model on text that is made here, nothing downloaded.

    python examples/transformers_trainer.py [--out letters.tight] [--epochs 4]

The text is sums, such as `12+34=46.`; the model learns to write them letter by letter. Its embedding is tied to its
head; attention and feed-forward layers are pruned 4x, then every value is put on 4 bits.
"""
# ruff: noqa: I001 - tighten comes first: it helps where the build of torchvision does not fit that of PyTorch

import argparse
import tempfile

import tighten as tt
from tighten.integrations.transformers import Tighten

import torch
from transformers import GPT2Config, GPT2LMHeadModel, Trainer, TrainingArguments

LETTERS, LENGTH = "0123456789+=.", 9


def sums(count, seed):
    """Examples of fixed length; labels are the letters themselves."""
    chance = torch.Generator().manual_seed(seed)
    pairs = torch.randint(50, (count, 2), generator=chance).tolist()
    texts = [f"{a:02d}+{b:02d}={a + b:02d}." for a, b in pairs]
    rows = [torch.tensor([LETTERS.index(letter) for letter in text]) for text in texts]
    return [{"input_ids": row, "labels": row} for row in rows]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", default="letters.tight")
    parser.add_argument("--epochs", type=int, default=4, help="of each part of the plan")
    args = parser.parse_args()

    torch.manual_seed(0)
    train, test = sums(512, seed=1), sums(128, seed=2)
    sizes = {"n_embd": 32, "n_layer": 2, "n_head": 2, "n_positions": LENGTH, "vocab_size": len(LETTERS)}
    model = GPT2LMHeadModel(GPT2Config(**sizes, bos_token_id=None, eos_token_id=None))
    batch = 32

    def fit(epochs, *callbacks):
        settings = TrainingArguments(
            output_dir=tempfile.mkdtemp(),
            num_train_epochs=epochs,
            per_device_train_batch_size=batch,
            learning_rate=3e-3,
            lr_scheduler_type="constant",  # a stage has a curve of its own
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
            use_cpu=True,
        )
        trainer = Trainer(model=model, args=settings, train_dataset=train, eval_dataset=test, callbacks=list(callbacks))
        trainer.train()
        return trainer.evaluate()["eval_loss"]

    print(f"dense: loss {fit(2 * args.epochs):.3f} on new sums")
    layers = "*.c_*.weight"
    plan = tt.Plan(
        [
            tt.Stage({layers: tt.Sparse()}, tt.Admm(rho_end=0.1), args.epochs, budget=tt.Budget(rate=4)),
            tt.Stage({}, tt.Masked(), args.epochs),
            tt.Stage({"*": tt.Uniform(bits=4, per_channel=True)}, tt.Freeze(passes=2), args.epochs),
        ]
    )
    session = tt.Session(model, plan, steps_per_epoch=len(train) // batch)
    print(f"compressed: loss {fit(plan.epochs, Tighten(session)):.3f} on new sums")

    session.save(args.out)
    print(session.report())


if __name__ == "__main__":
    main()
