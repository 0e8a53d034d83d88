"""What the pages take for given: the reader's own model, data and loop. Made anew for each block."""

import torch
from tests.integrations.problem import loader, net

import tighten as tt


def train_one_epoch(model, loader, optimizer, scheduler=None):
    for inputs, targets in loader:
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(inputs), targets).backward()
        optimizer.step()
        if scheduler is not None:
            scheduler.step()


def everywhere():
    """What any page may use."""
    return {"torch": torch, "tt": tt, "model": net(), "loader": loader(), "train_one_epoch": train_one_epoch}


def loops():
    """The networks and texts of other trainers."""
    import lightning.pytorch as lightning
    import transformers

    class Module(lightning.LightningModule):
        def __init__(self):
            super().__init__()
            self.net = net()

        def training_step(self, batch, index):
            return torch.nn.functional.cross_entropy(self.net(batch[0]), batch[1])

        def configure_optimizers(self):
            return torch.optim.Adam(self.parameters(), lr=1e-3)

    gpt2 = transformers.GPT2Config(n_embd=8, n_layer=1, n_head=2, n_positions=8, vocab_size=8)
    return {
        "net": net(),
        "module": Module(),
        "letters": [{"input_ids": row, "labels": row} for row in torch.arange(8).repeat(16, 1)],
        "letters_model": transformers.GPT2LMHeadModel(gpt2),
        "letters_plan": tt.Plan([tt.Stage({"*.c_*.weight": tt.Sparse(density=0.3)}, tt.Masked(), 1)]),
    }


def search():
    """A training loop that only says how well it went: the smaller, the worse."""
    return {"attempt": lambda size: 99.5 - 1000 / size}


def train():
    """A training loop as a function, of which the page needs no more."""
    return {"train": lambda model: [model(torch.zeros(2, 1, 28, 28)).sum().backward()]}


def checkpoint():
    """A session and an optimizer at work on a network."""
    model, batches = net(), loader()
    session = tt.Session(model, tt.progressive(rate=5, steps=1, epochs=1), steps_per_epoch=len(batches))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    return {"model": model, "loader": batches, "session": session, "optimizer": optimizer}


def one_of_many():
    """A plan, and the group of processes that `torchrun` makes: of this one alone."""
    torch.distributed.init_process_group("gloo", store=torch.distributed.HashStore(), rank=0, world_size=1)
    return {"plan": tt.progressive(rate=5, steps=1, epochs=1)}


FRESH = {
    "docs/compact.md": train,
    "docs/many-processes.md": one_of_many,
    "docs/resume.md": checkpoint,
    "docs/shrink.md": search,
    "docs/training-loops.md": loops,
}
"""By page, what it takes for given besides."""
