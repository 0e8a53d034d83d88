"""The values of a code: plain numbers, or indices into a table with its scales."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from tighten.codecs.adaptive import adaptive, as_symbols
from tighten.codecs.coder import Coder
from tighten.codecs.scalars import dtype, scalars
from tighten.codecs.steps import LAST_OF_FORMAT_1, steps
from tighten.codes import Dense, Indexed
from tighten.errors import ArtifactError

MOST_LEVELS = 2**16


def dense(coder: Coder, code: Dense | None, shape: tuple[int, ...], of: torch.dtype, site: str) -> Dense:
    """Plain values."""
    got = scalars(coder, None if code is None else code.values, of, shape)
    coder.mark("values", site)
    return Dense(got)


def indexed(
    coder: Coder, code: Indexed | None, shape: tuple[int, ...], of: torch.dtype, support: Tensor | None, site: str
) -> Indexed:
    """Indices, table and scales.

    Args:
        support: flat bool tensor, which entries of the whole tensor are kept; None where all are.
    """
    count = math.prod(shape)
    levels = coder.number(None if code is None else len(code.steps), "levels", MOST_LEVELS)
    runs = coder.number(None if code is None else len(code.scale), "runs")
    table = steps(coder, None if code is None else code.steps, of, levels, LAST_OF_FORMAT_1)
    coder.claim(runs * of.itemsize)
    scale = scalars(coder, None if code is None else code.scale, of, (runs,))
    coder.mark("tables", site)
    counts = run_lengths(runs, count, support)
    index = _indices(coder, None if code is None else code.index, count, levels)
    coder.mark("values", site)
    return Indexed(index.reshape(shape), table, scale, counts)


def check_indexed(code: Indexed, support: Tensor | None) -> None:
    """Refuses an `Indexed` that the format has no words for.

    Raises:
        ArtifactError: the message says what and why; the caller adds the site.
    """
    levels = len(code.steps)
    if levels > MOST_LEVELS:
        raise ArtifactError(f"has a table of {levels} levels, at most {MOST_LEVELS} can be stored: use a Dense code")
    if code.steps.dtype != code.scale.dtype:
        raise ArtifactError(f"has steps of {code.steps.dtype} and scales of {code.scale.dtype}: give both one dtype")
    if code.index.numel() and not 0 <= int(code.index.min()) <= int(code.index.max()) < levels:
        raise ArtifactError(f"has indices outside its table of {levels} levels: fit the code again")
    if not torch.equal(code.counts.cpu(), run_lengths(len(code.scale), code.index.numel(), support)):
        raise ArtifactError(
            f"has runs of {code.counts.tolist()[:8]} entries, which do not follow from its rows: "
            "give it one scale, or one for each of a number of equal rows"
        )


def run_lengths(runs: int, count: int, support: Tensor | None) -> Tensor:
    """How many of the `count` entries share each scale: those in one of `runs` equal stretches of the whole tensor."""
    total = count if support is None else len(support)
    if total == 0:
        return torch.zeros(runs, dtype=torch.int64)
    if runs == 0 or total % runs:
        raise ArtifactError(f"has {runs} scales, which cannot share {total} entries evenly: give it one for each row")
    if support is None:
        return torch.full((runs,), count // runs)
    if runs == 1:
        return torch.tensor([int(np.count_nonzero(support.numpy()))])
    return torch.from_numpy(np.count_nonzero(support.reshape(runs, -1).numpy(), axis=1)).to(torch.int64)


def _indices(coder: Coder, index: Tensor | None, count: int, levels: int) -> Tensor:
    if levels == 0 and count:
        raise ArtifactError("has entries but an empty table")
    given = None if index is None else as_symbols(index.detach().cpu().reshape(-1).numpy())
    got = adaptive(coder, given, count, np.full(max(levels, 1), 0.5))
    return torch.from_numpy(got).to(torch.uint8 if levels <= 256 else torch.int32)


def value_dtype(coder: Coder, code: Dense | Indexed | None) -> torch.dtype:
    """The type of the values."""
    if code is None:
        return dtype(coder, None)
    return dtype(coder, code.values.dtype if isinstance(code, Dense) else code.steps.dtype)
