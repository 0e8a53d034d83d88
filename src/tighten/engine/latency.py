"""How long a compressed network takes beside the dense one, for the report of its run."""

from __future__ import annotations

import copy
from pathlib import Path

import torch
from torch import Tensor, nn

from tighten import runtime
from tighten.engine import checkpoint
from tighten.engine.events import Listener
from tighten.engine.provenance import processor
from tighten.errors import TightenError

NAME = "latency.json"
SECONDS = 1.0
"""Enough for a first impression; whoever needs more calls `tighten.runtime.compile` with more."""


def keep_latency(model: nn.Module, example: Tensor, folder: Path, listener: Listener) -> None:
    """Milliseconds for one example, dense and by `tighten.runtime`, written into a run folder.

    A network that cannot be measured is no reason to fail: it is said, and the report says "not measured".

    Args:
        model: the compressed network; it is not changed.
        example: one input with its batch axis.
        folder: of the run.
        listener: hears of it where it cannot be done.
    """
    plain = copy.deepcopy(model).cpu().float().eval()
    try:
        found = runtime.compile(plain, example.cpu().float().contiguous(), seconds=SECONDS).report
    except TightenError as error:
        listener.note(f"latency not measured: {error}")
        return
    if found.plain_us is None or found.compiled_us is None:
        return
    quickest = found.plain_us if found.kept_plain else found.compiled_us
    threads = torch.get_num_threads()
    how = (
        f"One example at a time, float32, {processor()}, {threads} thread{'s' * (threads != 1)}, PyTorch "
        f"{torch.__version__}: the lower quartile of runs in turn, for about {SECONDS:g} s, on a machine that may have "
        "had other work. Dense: the same network with its zeros multiplied like other numbers. "
    )
    how += "Nothing sparse was faster." if found.kept_plain else "Compressed: each layer by the quickest way found."
    timings = [("dense, PyTorch", found.plain_us), ("compressed, tighten.runtime", quickest)]
    data = {"how": how, "timings": [{"what": what, "milliseconds": us / 1000} for what, us in timings]}
    checkpoint.write_json(folder / NAME, data)
