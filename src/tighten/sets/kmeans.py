"""The best table of free levels for a vector: k-means in one dimension."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

CELLS = 1024
ROUNDS = 100


def best_table(x: Tensor, levels: int, zero: bool = False) -> Tensor:
    """The table with the least sum of squared distances from entries to their nearest level.

    Definition: at most `levels` values, and 0 besides where `zero` says so. An optimal assignment cuts the
    sorted entries into segments, and a level is the mean of its segment.

    Exact by dynamic programming over segments where there are at most `CELLS` different entries. Otherwise entries
    that lie close together are first merged into so many cells, and the table is then refined on all entries
    by Lloyd's alternation, which can only improve it.

    Source: Wang and Song, "Ckmeans.1d.dp", The R Journal 3/2 (2011).

    Args:
        x: one-dimensional, float64; may be empty.
        levels: the most values.
        zero: whether 0 may be used besides.

    Returns:
        The values, rising, all different.
    """
    values, times = x.unique(return_counts=True)
    weights = times.double()
    if len(values) <= levels:
        return _with_zero(values, zero)
    cells = _cells(values, weights)
    table = _with_zero(_segment_means(cells, levels, zero), zero)
    return table if len(cells.weights) == len(values) else _refine(table, values, weights, zero)


@dataclass(frozen=True, eq=False)
class _Cells:
    """Weighted entries in rising order: weights, sums and sums of squares."""

    weights: Tensor
    sums: Tensor
    squares: Tensor


def _cells(values: Tensor, weights: Tensor) -> _Cells:
    n = len(values)
    cell = torch.arange(n, device=values.device)
    if n > CELLS:
        # Half of the borders follow the crowd. The other half lie where the levels of a good table of so many levels
        # would: their density goes as the cube root of that of the entries, so steps as gap^(2/3).
        half = CELLS // 2
        before = weights.cumsum(0) - weights
        crowd = (before * half / weights.sum()).long()
        way = (values.diff().square() * weights[1:]).pow(1 / 3).cumsum(0)
        spread = torch.cat([way.new_zeros(1), way]) * ((half - 1) / way[-1])
        changed = (crowd.diff() != 0) | (spread.long().diff() != 0)
        cell = torch.cat([cell[:1], changed.long().cumsum(0)])
    count = int(cell[-1]) + 1

    def total(per_value: Tensor) -> Tensor:
        return values.new_zeros(count).index_add_(0, cell, per_value)

    return _Cells(total(weights), total(weights * values), total(weights * values.square()))


def _segment_means(cells: _Cells, levels: int, zero: bool) -> Tensor:
    # cost[j, i] is what one level for the cells j..i-1 costs, at_zero[j, i] what zero for them costs. An empty segment
    # costs nothing, so that "exactly `levels` segments" means "at most".
    weight, total, square = (
        torch.cat([c.new_zeros(1), c.cumsum(0)]) for c in (cells.weights, cells.sums, cells.squares)
    )
    n = len(cells.weights)
    behind = torch.ones(n + 1, n + 1, dtype=torch.bool, device=weight.device).tril(-1)
    at_zero = (square - square[:, None]).clamp_min(0).masked_fill(behind, torch.inf)
    masses = (weight - weight[:, None]).clamp_min(0.5)  # the weight of a segment is 1 or more, or it is empty
    cost = (at_zero - (total - total[:, None]).square() / masses).clamp_min(0)

    best, origin = _layers(cost, levels)
    if not zero:
        segments = _trace(origin, levels, n)
    else:
        mirrored, mirrored_origin = _layers(cost.flip(0, 1).T, levels)
        rest = mirrored.flip(1)  # rest[l, i] is what the cells from i on cost in l segments
        splits = [best[k][:, None] + at_zero + rest[levels - k] for k in range(levels + 1)]
        k = int(torch.stack([split.min() for split in splits]).argmin())
        j, i = divmod(int(splits[k].argmin()), n + 1)
        segments = _trace(origin, k, j)
        segments += [(n - b, n - a) for a, b in _trace(mirrored_origin, levels - k, n - i)]
    begins, ends = torch.tensor(segments, device=weight.device).unbind(1)
    return (total[ends] - total[begins]) / (weight[ends] - weight[begins])


def _layers(cost: Tensor, levels: int) -> tuple[Tensor, Tensor]:
    """What the first i cells cost in l segments, as `[levels + 1, i]`, and where the last of these begins."""
    first = torch.full_like(cost[0], torch.inf)
    first[0] = 0.0
    best, origin = [first], []
    for _ in range(levels):
        least, begin = (best[-1][:, None] + cost).min(0)
        best.append(least)
        origin.append(begin)
    return torch.stack(best), torch.stack(origin)


def _trace(origin: Tensor, levels: int, end: int) -> list[tuple[int, int]]:
    segments = []
    for begins in reversed(origin[:levels].tolist()):
        begin = begins[end]
        if begin < end:
            segments.append((begin, end))
        end = begin
    return segments


def _refine(table: Tensor, values: Tensor, weights: Tensor, zero: bool) -> Tensor:
    prefix_weight = torch.cat([weights.new_zeros(1), weights.cumsum(0)])
    prefix_sum = torch.cat([weights.new_zeros(1), (weights * values).cumsum(0)])
    for _ in range(ROUNDS):
        inner = torch.searchsorted(values, (table[1:] + table[:-1]) / 2)
        edges = torch.cat([inner.new_zeros(1), inner, inner.new_tensor([len(values)])])
        mass = prefix_weight[edges].diff()
        means = torch.where(mass > 0, prefix_sum[edges].diff() / mass, table)
        if zero:
            means = torch.where(table == 0, table, means)
        if torch.equal(means, table):
            break
        table = means
    return table


def _with_zero(table: Tensor, zero: bool) -> Tensor:
    different: Tensor = (torch.cat([table, table.new_zeros(1)]) if zero else table).unique()
    return different
