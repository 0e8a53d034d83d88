"""Which part of a DTensor is here, and what is refused, seen from one process of a group that is only made up."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.tensor import DTensor, Partial, Placement, Replicate, Shard
from torch.testing._internal.distributed.fake_pg import FakeStore

from tighten.errors import PlanError
from tighten.sharding import is_first, is_shared, local, part_of, unwrapped, whole

RANK = 5
"""Of eight processes: the second row of a 2 x 4 mesh, its second column."""


@pytest.fixture(scope="module")
def mesh() -> Iterator[DeviceMesh]:
    dist.init_process_group("fake", rank=RANK, world_size=8, store=FakeStore())
    yield init_device_mesh("cpu", (2, 4), mesh_dim_names=("rows", "columns"))
    dist.destroy_process_group()


def made(mesh: DeviceMesh, *placements: Placement) -> DTensor:
    return DTensor.from_local(
        torch.ones(3, 2), mesh, placements, run_check=False, shape=torch.Size([10, 7]), stride=(7, 1)
    )


@pytest.mark.parametrize(
    ("placements", "start", "cut"),
    [
        ((Replicate(), Shard(0)), (3, 0), {0}),  # 3, 3, 3 and 1 of ten rows
        ((Shard(0), Replicate()), (5, 0), {0}),
        ((Shard(0), Shard(1)), (5, 2), {0, 1}),
        ((Shard(1), Shard(0)), (3, 4), {0, 1}),
    ],
    ids=str,
)
def test_parts_begin_where_dtensor_cuts(
    mesh: DeviceMesh, placements: tuple[Placement, ...], start: tuple[int, int], cut: set[int]
) -> None:
    x = made(mesh, *placements)
    part = part_of(x, "w")
    assert part is not None
    assert (part.shape, part.start, part.cut) == ((10, 7), start, cut)
    assert is_shared(x)
    assert local(x).shape == (3, 2)


def test_what_every_process_has_is_no_part(mesh: DeviceMesh) -> None:
    plain = torch.ones(3, 2)
    assert part_of(plain, "w") is None
    assert part_of(made(mesh, Replicate(), Replicate()), "w") is None
    assert local(plain) is plain
    assert torch.equal(whole(plain, "w"), plain)


@pytest.mark.parametrize("placements", [(Shard(0), Shard(0)), (Replicate(), Partial())], ids=str)
def test_other_ways_are_refused_with_the_name(mesh: DeviceMesh, placements: tuple[Placement, ...]) -> None:
    with pytest.raises(PlanError, match=r"'w' is spread over processes as .*shard each axis once"):
        part_of(made(mesh, *placements), "w")


def test_the_first_process_is_the_one_that_writes(mesh: DeviceMesh) -> None:
    assert not is_first()


def test_a_wrapper_that_flattens_is_refused() -> None:
    class FullyShardedDataParallel(nn.Module):
        pass

    with pytest.raises(PlanError, match=r"use torch\.distributed\.fsdp\.fully_shard"):
        unwrapped(nn.Sequential(FullyShardedDataParallel()))
