"""A plan carried out in one process, under DDP or under FSDP2, on the same batches."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor
from torch.nn.parallel import DistributedDataParallel

import tighten as tt
from tighten.sharding import whole

STEPS, BATCH = 3, 8


def net() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Unflatten(1, (1, 4, 4)),
        nn.Conv2d(1, 6, 3, padding=1),  # four processes cut six filters into 2, 2, 2 and 0
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(96, 13),
        nn.BatchNorm1d(13, affine=True),
        nn.ReLU(),
        nn.Linear(13, 5),
    ).eval()  # batch norm sees other batches in each process


PLANS: dict[str, Any] = {
    "prune": lambda: [
        tt.Stage({"*": tt.Sparse()}, tt.Admm(rho=0.1, rho_end=1.0), 2, budget=tt.Budget(rate=4)),
        tt.Stage({}, tt.Masked(), 1),
        tt.Stage({"*": tt.Sparse()}, tt.Admm(rho=0.1, rho_end=1.0), 1, budget=tt.Budget(rate=8)),
    ],
    "levels": lambda: [
        tt.Stage(
            {
                "1.weight": tt.Binary(),
                "4.weight": tt.Sparse(density=0.3) & tt.Uniform(bits=3, zero=False),
                "7.weight": tt.PowerOfTwo(bits=3),
            },
            tt.Admm(rho=0.1, rho_end=1.0, commit=False),
            2,
        ),
        tt.Stage(
            {
                "1.weight": tt.Binary(),
                "4.weight": tt.Sparse(density=0.3) & tt.Uniform(bits=3, zero=False),
                "7.weight": tt.PowerOfTwo(bits=3),
            },
            tt.Freeze(passes=3),
            2,
        ),
    ],
    "straight": lambda: [
        tt.Stage({"4.weight": tt.Sparse(density=0.3)}, tt.Masked(), 1),
        tt.Stage(
            {"1.weight": tt.Binary(), "4.weight": tt.Uniform(bits=3, zero=False), "7.weight": tt.PowerOfTwo(bits=3)},
            tt.StraightThrough(lean=0.5),
            3,
        ),
    ],
    "feedback": lambda: [
        tt.Stage({"*": tt.Sparse()}, tt.Feedback(updates_per_epoch=2), 3, budget=tt.Budget(rate=6)),
        tt.Stage({"4.weight": tt.FilterSparse(count=8)}, tt.Feedback(), 2),
    ],
    "structure": lambda: [
        tt.Stage(
            {
                "1.weight": tt.FilterSparse(count=4),
                "4.weight": tt.NMSparse(2, 4) & tt.Uniform(bits=3, per_channel=True),
                "7.weight": tt.ChannelSparse(count=6),
            },
            tt.Admm(rho=0.1, rho_end=1.0),
            2,
        ),
    ],
    "bytes": lambda: [
        tt.Stage({"*": tt.Sparse()}, tt.Admm(rho=0.1, rho_end=1.0), 2, budget=tt.Budget(bytes=1400)),
    ],
}


def batch(step: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(step)
    return torch.randn(BATCH, 16, generator=generator), torch.randint(5, (BATCH,), generator=generator)


def prepared(kind: str) -> nn.Module:
    model = net()
    if kind == "ddp":
        return DistributedDataParallel(model)
    if kind == "fsdp":
        for layer in (model[1], model[4]):
            fully_shard(layer)
        return fully_shard(model)
    if kind == "hsdp":  # two copies of two shards
        mesh = init_device_mesh("cpu", (2, 2), mesh_dim_names=("copies", "shards"))
        return fully_shard(model, mesh=mesh)
    return model


def carry_out(
    kind: str, plan: str, file: Path | None = None, stop: int = 10**9, state: bytes | None = None
) -> dict[str, Any]:
    """The plan in this process; what came of it, whole.

    Args:
        kind: "one", "ddp", "fsdp" or "hsdp".
        plan: of `PLANS`.
        file: where the network is saved.
        stop: optimizer steps after which a checkpoint is taken and the work ends.
        state: a checkpoint to go on from.
    """
    rank, world = (0, 1) if kind == "one" else (dist.get_rank(), dist.get_world_size())
    model = prepared(kind)
    session = tt.Session(model, PLANS[plan](), steps_per_epoch=STEPS)
    done, pending = 0, None
    if state is not None:
        pending = torch.load(io.BytesIO(state), weights_only=True)
        load_whole(session.model, pending["model"])
        session.load_state_dict(pending["session"])
        done = pending["done"]
    for stage in session:
        optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
        with stage.attached(optimizer) as solver:
            for _ in range(solver.state.step, stage.epochs * STEPS):
                x, y = batch(done)
                mine = slice(rank * BATCH // world, (rank + 1) * BATCH // world)
                optimizer.zero_grad()
                nn.functional.cross_entropy(model(x[mine]), y[mine]).backward()
                optimizer.step()
                done += 1
                if done == stop:
                    return {"checkpoint": checkpoint(session, done)}
    if file is not None:
        session.save(file)
    artifact = session.artifact()
    return {
        "state": artifact.state_dict(),
        "codes": {name: tt_plain(code) for name, code in artifact.codes.items()},
        "meta": artifact.meta,
        "local": sum(p.to_local().numel() if isinstance(p, DTensor) else p.numel() for p in model.parameters()),
    }


def tt_plain(code: Any) -> dict[str, Any]:
    from tighten.codes import to_plain

    return to_plain(code)


def checkpoint(session: tt.Session, done: int) -> bytes:
    model = {name: whole(p, name) for name, p in session.model.state_dict().items()}
    buffer = io.BytesIO()
    torch.save({"model": model, "session": session.state_dict(), "done": done}, buffer)
    return buffer.getvalue()


@torch.no_grad()
def load_whole(model: nn.Module, state: dict[str, Tensor]) -> None:
    from torch.distributed.tensor import distribute_tensor

    for name, p in model.state_dict().items():
        if isinstance(p, DTensor):
            p.copy_(distribute_tensor(state[name], p.device_mesh, p.placements))
        else:
            p.copy_(state[name])


def several(jobs: list[tuple[Any, ...]]) -> list[dict[str, Any]]:
    return [carry_out(*job) for job in jobs]
