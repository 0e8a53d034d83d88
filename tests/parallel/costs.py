"""What a process holds and sends while layers that processes share are pruned."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.fsdp import fully_shard

import tighten as tt
from tighten import sites


@contextmanager
def counted() -> Iterator[dict[str, int]]:
    """The bytes that this process hands over to be added up and to be gathered."""
    bytes_of = {"summed": 0, "gathered": 0}
    reduce, gather = dist.all_reduce, dist.all_gather

    def all_reduce(x: Tensor, *args: Any, **kwargs: Any) -> Any:
        bytes_of["summed"] += x.nbytes
        return reduce(x, *args, **kwargs)

    def all_gather(found: list[Tensor], x: Tensor, *args: Any, **kwargs: Any) -> Any:
        bytes_of["gathered"] += x.nbytes
        return gather(found, x, *args, **kwargs)

    dist.all_reduce, dist.all_gather = all_reduce, all_gather
    try:
        yield bytes_of
    finally:
        dist.all_reduce, dist.all_gather = reduce, gather


def measured(sizes: list[int], s: tt.Sparse, budget: int | None) -> dict[str, int]:
    """Of this process: bytes of its weights, of what a stage holds beside them, and sent at a step and at an update.

    Args:
        sizes: each layer has as many inputs and outputs.
        s: the set of each.
        budget: weights of all together, where the set is open.
    """
    torch.manual_seed(0)
    model = nn.Sequential(*(nn.Linear(n, n, bias=False) for n in sizes))
    for layer in model:
        fully_shard(layer)
    limit = None if budget is None else tt.Budget(weights=budget)
    stage = next(iter(tt.Session(model, [tt.Stage({"*": s}, tt.Admm(), 1, budget=limit)], steps_per_epoch=4)))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    state = stage.solver.state
    weights = sites.tensors(model, list(stage.solver.sets))
    held = [*state.targets.values(), *(support.grid for support in state.supports.values())]
    found = {"weights": sum(w.nbytes for w in weights.values()), "held": sum(t.nbytes for t in held)}
    for when in ("step", "update"):  # two updates in four steps
        for p in model.parameters():
            p.grad = torch.zeros_like(p)
        stage.before_step(optimizer)
        with counted() as sent:
            stage.after_step(optimizer)
        found |= {f"{when}, {how}": count for how, count in sent.items()}
    return found


def each(jobs: list[tuple[Any, ...]]) -> list[dict[str, int]]:
    return [measured(*job) for job in jobs]
