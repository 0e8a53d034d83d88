"""Real digits, a small network and a plan of four stages, trained by the plainest loop: what trainers are held to."""

from functools import cache

import torch
from torch import nn
from torch.nn import functional as F

import tighten as tt
from tighten.data import digits

BATCH, BATCHES = 32, 6


@cache
def data():
    found = digits().train.subset(torch.arange(BATCH * BATCHES))
    return found.inputs.flatten(1), found.targets


def loader(batch=BATCH):
    """Batches in a fixed order."""
    return torch.utils.data.DataLoader(torch.utils.data.TensorDataset(*data()), batch_size=batch)


def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(64, 24), nn.ReLU(), nn.Linear(24, 10))


def plan():
    return tt.Plan(
        [
            tt.Stage({"*": tt.Sparse()}, tt.Admm(rho_end=1.0), 3, budget=tt.Budget(rate=5)),
            tt.Stage({}, tt.Masked(), 2),
            tt.Stage({"*0.weight": tt.Uniform(bits=2, zero=False)}, tt.Admm(rho_end=1.0, commit=False), 1),
            tt.Stage({"*0.weight": tt.Uniform(bits=2, zero=False)}, tt.Freeze(passes=2), 2),
        ]
    )


def adam(parameters):
    return torch.optim.Adam(parameters, lr=1e-2)


@cache
def plain(accumulate=1, clip=None, make=adam):
    """One optimizer through all stages of the plan, in a loop without any library; gives the session."""
    model = net()
    optimizer, batches = make(model.parameters()), loader()
    session = tt.Session(model, plan(), steps_per_epoch=len(batches) // accumulate)
    base = [group["lr"] for group in optimizer.param_groups]
    for stage in session:
        for group, rate in zip(optimizer.param_groups, base, strict=True):
            group.pop("initial_lr", None)
            group["lr"] = rate
        scheduler = stage.scheduler(optimizer)
        with stage.attached(optimizer):
            for _ in range(stage.epochs):
                for i, (x, y) in enumerate(batches):
                    (F.cross_entropy(model(x), y) / accumulate).backward()
                    if (i + 1) % accumulate == 0:
                        if clip is not None:
                            nn.utils.clip_grad_norm_(model.parameters(), clip)
                        optimizer.step()
                        optimizer.zero_grad()
                        scheduler.step()
    return session


def same(session, other):
    """Whether two sessions ended with the same network, bit for bit, whatever its parameters are called."""
    session.check()
    other.check()
    pairs = zip(session.model.parameters(), other.model.parameters(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)
