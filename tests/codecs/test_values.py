"""Indices, tables and scales."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from tighten.codecs.values import MOST_LEVELS, check_indexed, run_lengths
from tighten.codes import Indexed
from tighten.errors import ArtifactError

SUPPORT = torch.tensor([[1, 1, 0], [0, 0, 0], [1, 1, 1], [0, 1, 0]], dtype=torch.bool).reshape(-1)


@pytest.mark.parametrize(
    ("runs", "count", "support", "lengths"),
    [
        (1, 6, SUPPORT, [6]),
        (4, 6, SUPPORT, [2, 0, 3, 1]),
        (2, 6, SUPPORT, [2, 4]),
        (1, 12, None, [12]),
        (3, 12, None, [4, 4, 4]),
        (0, 0, None, []),
        (2, 0, None, [0, 0]),
    ],
)
def test_runs_follow_from_the_rows(runs: int, count: int, support: torch.Tensor | None, lengths: list[int]) -> None:
    assert run_lengths(runs, count, support).tolist() == lengths


@pytest.mark.parametrize(("runs", "support"), [(5, SUPPORT), (0, SUPPORT), (5, None), (0, None)])
def test_scales_that_cannot_share_are_refused(runs: int, support: torch.Tensor | None) -> None:
    with pytest.raises(ArtifactError, match=f"has {runs} scales, which cannot share 12 entries"):
        run_lengths(runs, 12, support)


def indexed() -> Indexed:
    index = torch.tensor([0, 1, 1, 0, 1, 0])
    return Indexed(index, torch.tensor([-1.0, 1.0]), torch.ones(4), torch.tensor([2, 0, 3, 1]))


def test_a_good_code_passes() -> None:
    check_indexed(indexed(), SUPPORT)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"index": torch.tensor([0, 1, 1, 0, 2, 0])}, "outside its table of 2 levels"),
        ({"index": torch.tensor([0, 1, 1, 0, -1, 0])}, "outside its table of 2 levels"),
        ({"counts": torch.tensor([2, 1, 2, 1])}, r"runs of \[2, 1, 2, 1\] entries"),
        ({"scale": torch.ones(4, dtype=torch.float64)}, "steps of torch.float32 and scales of torch.float64"),
        ({"steps": torch.zeros(MOST_LEVELS + 1)}, "a table of 65537 levels, at most 65536"),
    ],
)
def test_a_code_without_words_is_refused(change: dict[str, torch.Tensor], message: str) -> None:
    with pytest.raises(ArtifactError, match=message):
        check_indexed(replace(indexed(), **change), SUPPORT)
