"""The best table of free levels."""

from __future__ import annotations

import pytest
import torch
from tests.sets.oracle import draws, free
from torch import Tensor

from tighten.sets import kmeans
from tighten.sets.kmeans import best_table


def squares(x: Tensor, table: Tensor) -> float:
    return float((x[:, None] - table).square().min(1).values.sum())


@pytest.mark.parametrize("zero", [False, True])
@pytest.mark.parametrize("levels", [1, 2, 3])
def test_no_table_is_better(levels: int, zero: bool) -> None:
    for x in draws((6,), 15, seed=levels):
        table = best_table(x, levels, zero)
        best = float(x.square().sum()) - free(levels, zero)(x)
        assert squares(x, table) == pytest.approx(best, abs=1e-10)
        assert len(table) <= levels + zero
        assert bool((table == 0).any()) or not zero


def test_merged_cells_come_near_the_exact_table(monkeypatch: pytest.MonkeyPatch) -> None:
    for x in draws((1500,), 3):
        for levels, zero in ((2, False), (8, False), (8, True), (32, False)):
            monkeypatch.setattr(kmeans, "CELLS", 10_000)
            exact = squares(x, best_table(x, levels, zero))
            monkeypatch.setattr(kmeans, "CELLS", 256)
            assert squares(x, best_table(x, levels, zero)) <= 1.02 * exact + 1e-12


def test_few_different_entries_are_met_exactly() -> None:
    x = torch.tensor([3.0, 3.0, -1.0, 7.0], dtype=torch.float64)
    assert best_table(x, 4).tolist() == [-1, 3, 7]
    assert best_table(x, 3, zero=True).tolist() == [-1, 0, 3, 7]
    assert best_table(x[:0], 3).tolist() == []


def test_outliers_far_away_get_their_own_level() -> None:
    x = torch.cat([torch.randn(5000, generator=torch.Generator().manual_seed(0)).double(), torch.tensor([1e6, -3e6])])
    table = best_table(x, 4)
    assert table[0] == -3e6
    assert table[-1] == 1e6
