"""The code of a tensor whose entries are taken from a small table."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

_CHUNK = 2**20

FEW = 8
"""Middles of levels up to which comparing with each is quicker than a search."""


@dataclass(frozen=True, eq=False)
class Indexed:
    """Entries `scale * steps[index]`, with one scale for all entries or one for each run of entries.

    A run is a stretch of consecutive entries in row-major order, so that "one scale per output
    channel" is a list of run lengths, also for the kept entries of a sparse tensor. The product is
    taken in the dtype of `scale`: it is the same, bit for bit, on every machine.

    Args:
        index: integer tensor of any shape, values in `[0, len(steps))`.
        steps: `[levels]`, the table before scaling (such as -1 and 1), in the dtype of the entries.
        scale: `[runs]`, one positive factor per run, in the dtype of the entries.
        counts: `[runs]`, int64, entries per run; sums to `index.numel()`.
    """

    index: Tensor
    steps: Tensor
    scale: Tensor
    counts: Tensor

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.index.shape)

    @property
    def dtype(self) -> torch.dtype:
        return self.steps.dtype

    def dense(self) -> Tensor:
        """The tensor that this code describes."""
        flat = self.index.reshape(-1)
        # With one scale, the same products, taken once for each level.
        table = self.steps * self.scale if len(self.scale) == 1 else self.steps
        out = torch.empty(flat.shape, dtype=table.dtype, device=table.device)
        for start in range(0, len(flat), _CHUNK):  # indices are widened, which for a whole tensor takes much memory
            part = slice(start, start + _CHUNK)
            torch.index_select(table, 0, flat[part].int(), out=out[part])
        out = out.view(self.index.shape)
        return out if len(self.scale) == 1 else out.mul_(self._scale_per_entry())

    def bits(self) -> float:
        """Bits of a fixed-length code: indices, scales and table."""
        per_entry = math.ceil(math.log2(len(self.steps))) if len(self.steps) > 1 else 0
        word = self.steps.element_size() * 8
        return float(self.index.numel() * per_entry + word * (len(self.scale) + len(self.steps)))

    def nearest(self, x: Tensor) -> Indexed:
        """The code with this table and these scales that is nearest to `x` (same number of entries); ties go up."""
        flat = x.reshape(-1).double()  # the middles of steps may not fit in the dtype of the entries
        scale = self._scale_per_entry().reshape(-1).double()
        order = self.steps.argsort()
        steps = self.steps[order].double()
        middles = (steps[1:] + steps[:-1]) / 2
        ratio = torch.where(scale == 0, torch.zeros_like(flat), flat / scale)
        if len(middles) <= FEW:
            place = torch.zeros(ratio.shape, dtype=torch.int32, device=ratio.device)
            for middle in middles:
                place += ratio >= middle
        else:
            place = torch.bucketize(ratio, middles, right=True, out_int32=True)
        index = order.to(self.index.dtype).index_select(0, place)
        return replace(self, index=index.view(self.index.shape))

    def snap(self, x: Tensor, out: Tensor) -> Tensor:
        """`nearest(x).dense()` in `out`, found in the dtype of the entries: those halfway may fall to either."""
        steps = self.steps.sort().values
        scale = self.scale if len(self.scale) == 1 else self._scale_per_entry()
        if len(steps) == 2 and steps[0] == -steps[1]:
            return torch.copysign(steps[1] * scale, x, out=out)
        ratio = torch.div(x, scale.clamp_min(torch.finfo(scale.dtype).tiny), out=out)
        # Most tables are evenly spaced, at least the sizes of their levels.
        if (even := _even(steps)) is not None:
            _round(ratio, *even)
        elif torch.equal(steps, -steps.flip(0)) and (even := _even(steps[len(steps) // 2 :])) is not None:
            ratio.copy_(_round(ratio.abs(), *even).copysign_(ratio))
        else:
            middles = (steps[1:] + steps[:-1]) / 2
            ratio.copy_(steps[torch.bucketize(ratio, middles, right=True)])
        return ratio.mul_(scale)

    def _scale_per_entry(self) -> Tensor:
        if len(self.scale) == 1:
            return self.scale[0].expand(self.index.shape)
        return self.scale.repeat_interleave(self.counts).view(self.index.shape)


def _even(steps: Tensor) -> tuple[float, float, int] | None:
    """The first of a sorted table, the gap from each to the next, and their number, where they are multiples of 1/2."""
    first, gap = float(steps[0]), float(steps[1] - steps[0]) if len(steps) > 1 else 1.0
    exact = gap > 0 and (2 * first).is_integer() and (2 * gap).is_integer()
    even = exact and steps.tolist() == [first + n * gap for n in range(len(steps))]
    return (first, gap, len(steps)) if even else None


def _round(x: Tensor, first: float, gap: float, count: int) -> Tensor:
    """Each entry of `x`, which is overwritten, at the nearest of evenly spaced values."""
    if gap == 1 and first.is_integer():
        return x.round_().clamp_(first, first + count - 1)
    return x.sub_(first).div_(gap).round_().clamp_(0, count - 1).mul_(gap).add_(first)
