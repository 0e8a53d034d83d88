"""Parameters that processes share, as DTensor keeps them: which part is here, and how the parts talk."""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from tighten.errors import PlanError
from tighten.joined import joined
from tighten.sets.part import Part


@dataclass(frozen=True)
class Groups:
    """`Parts` over process groups: one for each axis of the device mesh along which something is cut.

    Args:
        groups: in the order of the mesh.
        device: of the tensors that they exchange.
    """

    groups: tuple[dist.ProcessGroup, ...]
    device: torch.device

    def total(self, x: Tensor) -> Tensor:
        """The sum of `x` over the parts; every process gets the same bits."""
        return self._reduced(x, dist.ReduceOp.SUM)

    def largest(self, x: Tensor) -> Tensor:
        """The largest of each entry over the parts."""
        return self._reduced(x, dist.ReduceOp.MAX)

    def gathered(self, x: Tensor) -> Tensor:
        """The one-dimensional `x` of all parts, one after the other; their lengths may differ."""
        for group in self.groups:
            n = dist.get_world_size(group)
            lengths = x.new_zeros(n, dtype=torch.int64)
            lengths[dist.get_rank(group)] = len(x)
            dist.all_reduce(lengths, group=group)
            padded = x.new_zeros(int(lengths.max()))
            padded[: len(x)] = x
            found = [torch.empty_like(padded) for _ in range(n)]
            if len(padded):
                dist.all_gather(found, padded, group=group)
            x = torch.cat([piece[:length] for piece, length in zip(found, lengths.tolist(), strict=True)])
        return x

    def _reduced(self, x: Tensor, operation: Any) -> Tensor:
        x = x.contiguous().clone()
        for group in self.groups:
            dist.all_reduce(x, op=operation, group=group)
        return x


def is_shared(x: Tensor) -> bool:
    """Whether this is a DTensor."""
    # Who has made one has imported the module; nobody else should pay for it.
    module = sys.modules.get("torch.distributed.tensor")
    return module is not None and isinstance(x, module.DTensor)


def local(x: Tensor) -> Tensor:
    """What this process holds of a tensor: all of it, or its part."""
    return x.to_local() if is_shared(x) else x  # type: ignore[attr-defined]


def whole(x: Tensor, name: str) -> Tensor:
    """All of a tensor, in every process."""
    return joined(local(x).detach(), part_of(x, name))


def part_of(x: Tensor, name: str) -> Part | None:
    """Which part of a tensor this process holds; None where it holds all of it.

    Args:
        x: any tensor.
        name: for messages.

    Raises:
        PlanError: it is cut in a way that is not understood.
    """
    if not is_shared(x):
        return None
    from torch.distributed.tensor import Replicate, Shard

    mesh, shape = x.device_mesh, list(x.shape)  # type: ignore[attr-defined]
    start, cut, groups = [0] * len(shape), set(), []
    for along, placement in enumerate(x.placements):  # type: ignore[attr-defined]
        n = mesh.size(along)
        if n == 1 or isinstance(placement, Replicate):
            continue
        if type(placement) is not Shard or placement.dim in cut:
            raise PlanError(
                f"'{name}' is spread over processes as {tuple(x.placements)}, which tighten does not know: "  # type: ignore[attr-defined]
                f"shard each axis once, as `fully_shard` does, or leave the parameter out of the sets"
            )
        size = math.ceil(shape[placement.dim] / n)
        start[placement.dim] = min(mesh.get_local_rank(along) * size, shape[placement.dim])
        cut.add(placement.dim)
        groups.append(mesh.get_group(along))
    if not cut:
        return None
    return Part(tuple(shape), tuple(start), frozenset(cut), Groups(tuple(groups), torch.device(mesh.device_type)))


def unwrapped(model: nn.Module) -> nn.Module:
    """The module whose parameters have their real names: out of `torch.compile` and DDP.

    Raises:
        PlanError: the old kind of FSDP, which flattens parameters.
    """
    while True:
        if isinstance(model, nn.parallel.DistributedDataParallel):
            model = model.module
        elif (inner := getattr(model, "_orig_mod", None)) is not None:
            model = inner
        else:
            break
    if any(type(module).__name__ == "FullyShardedDataParallel" for module in model.modules()):
        raise PlanError(
            "FullyShardedDataParallel flattens parameters into one, so that no set can find them: "
            "use torch.distributed.fsdp.fully_shard (FSDP2), which keeps each as a DTensor"
        )
    return model


def is_first() -> bool:
    """Whether this process is the one that writes what all have."""
    return not (dist.is_available() and dist.is_initialized()) or dist.get_rank() == 0
