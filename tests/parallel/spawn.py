"""Work done in several processes that talk over gloo, all forked from one that has everything imported."""

from __future__ import annotations

import multiprocessing
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import torch.multiprocessing as mp

Work = Callable[..., Any]
METHOD = "forkserver"
# The last three are imported late: at an optimizer's first step, by the digits, by a report.
LATE = ["torch._dynamo", "sklearn.datasets", "matplotlib.figure"]
multiprocessing.set_forkserver_preload(["tests.parallel.job", "tests.parallel.program", *LATE])


def in_processes(n: int, work: Work, *given: Any) -> list[Any]:
    """What `work(*given)` gives in each of `n` processes of one group, with plain data and tensors only."""
    with tempfile.TemporaryDirectory() as folder:
        mp.start_processes(_one, args=(n, folder, work, given), nprocs=n, start_method=METHOD)
        return [torch.load(Path(folder) / f"{rank}.pt", weights_only=False) for rank in range(n)]


def _one(rank: int, n: int, folder: str, work: Work, given: tuple[Any, ...]) -> None:
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(n), "LOCAL_WORLD_SIZE": str(n)}
    os.environ |= {"GLOO_SOCKET_IFNAME": "lo", "OMP_NUM_THREADS": "1"}
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=n)
    try:
        torch.save(work(*given), Path(folder) / f"{rank}.pt")
    finally:
        dist.destroy_process_group()
