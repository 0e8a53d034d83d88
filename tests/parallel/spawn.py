"""Work done in several processes that talk over gloo."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import torch.multiprocessing as mp

Work = Callable[..., Any]


def in_processes(n: int, work: Work, *given: Any) -> list[Any]:
    """What `work(*given)` gives in each of `n` processes of one group, with plain data and tensors only."""
    with tempfile.TemporaryDirectory() as folder:
        mp.start_processes(_one, args=(n, folder, work, given), nprocs=n, start_method="spawn")
        return [torch.load(Path(folder) / f"{rank}.pt", weights_only=False) for rank in range(n)]


def _one(rank: int, n: int, folder: str, work: Work, given: tuple[Any, ...]) -> None:
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=n)
    try:
        torch.save(work(*given), Path(folder) / f"{rank}.pt")
    finally:
        dist.destroy_process_group()
