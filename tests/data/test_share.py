"""Shares of batches: together they are the batch of one process, chance and all."""

from __future__ import annotations

from itertools import chain
from pathlib import Path

import pytest
import torch
from tests.data.pictures import write_pictures

from tighten.data import Compose, Examples, Flip, Share, Shift, TensorData, batches, imagefolder


@pytest.mark.parametrize(("size", "of"), [(64, 2), (7, 3), (5, 8), (1, 4)])
def test_shares_are_even_and_together_the_batch(size: int, of: int) -> None:
    places = [list(range(size))[Share(index, of).of_batch(size)] for index in range(of)]
    assert list(chain(*places)) == list(range(size))
    assert max(map(len, places)) - min(map(len, places)) <= 1


def same_as_alone(data: Examples, of: int, augment: Compose | None) -> None:
    def epochs(share: Share) -> list[tuple[torch.Tensor, torch.Tensor]]:
        generator = torch.Generator().manual_seed(0)
        loader = batches(data, 5, generator, augment, share)
        return [batch for _ in range(2) for batch in loader]

    alone = epochs(Share())
    assert batches(data, 5, None).sizes == [len(y) for _, y in alone[: len(alone) // 2]]
    for one, *parts in zip(alone, *(epochs(Share(index, of)) for index in range(of)), strict=True):
        assert torch.equal(one[0], torch.cat([x for x, _ in parts]))
        assert torch.equal(one[1], torch.cat([y for _, y in parts]))


@pytest.mark.parametrize("of", [2, 3, 8])
def test_examples_in_memory_are_those_of_one_process(of: int) -> None:
    data = TensorData(torch.randn(23, 2, 6, 6), torch.arange(23))
    same_as_alone(data, of, None)
    same_as_alone(data, of, Compose((Shift(1, per="sample"), Shift(2), Flip())))


def test_pictures_in_files_are_those_of_one_process(tmp_path: Path) -> None:
    train = imagefolder(write_pictures(tmp_path, 2, 6), validation=1, size=8, workers=0).train
    same_as_alone(train, 2, None)
    same_as_alone(train, 7, Compose((Shift(1, per="sample"),)))
