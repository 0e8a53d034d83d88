from __future__ import annotations

from typing import Literal

import pytest
import torch
from torch import Tensor

from tighten.data import Compose, Flip, Shift
from tighten.errors import DataError

FILL = -7.0


def moved(picture: Tensor, dy: int, dx: int) -> Tensor:
    """The picture seen through a window moved by (dy, dx), pixel by pixel."""
    channels, height, width = picture.shape
    out = torch.full_like(picture, FILL)
    for c in range(channels):
        for y in range(height):
            for x in range(width):
                if 0 <= y + dy < height and 0 <= x + dx < width:
                    out[c, y, x] = picture[c, y + dy, x + dx]
    return out


def moves_of(before: Tensor, after: Tensor, pixels: int) -> set[tuple[int, int]]:
    """All moves that turn one picture into the other."""
    reach = range(-pixels, pixels + 1)
    return {(dy, dx) for dy in reach for dx in reach if torch.equal(moved(before, dy, dx), after)}


@pytest.mark.parametrize("per", ["batch", "sample"])
def test_shift_is_a_move_and_reaches_all_of_them(per: Literal["batch", "sample"]) -> None:
    generator = torch.Generator().manual_seed(0)
    shift = Shift(1, FILL, per)
    batch = torch.randn(12, 2, 4, 5, generator=generator)
    seen: set[tuple[int, int]] = set()
    per_batch = []
    for _ in range(80 if per == "batch" else 12):
        after = shift(batch, generator)
        assert after.shape == batch.shape
        found = [moves_of(b, a, 1) for b, a in zip(batch[:6], after[:6], strict=True)]
        assert all(len(f) == 1 for f in found)
        per_batch.append(len(set.union(*found)))
        seen |= set.union(*found)
    assert len(seen) == 9
    assert max(per_batch) == 1 if per == "batch" else max(per_batch) > 1


def test_each_channel_may_have_its_own_background() -> None:
    generator = torch.Generator().manual_seed(0)
    batch = torch.zeros(50, 3, 4, 4)
    after = Shift(1, (1.0, 2.0, 3.0), "sample")(batch, generator)
    moved = (after != 0).any(1)
    assert bool(moved.any())
    for channel, value in enumerate((1.0, 2.0, 3.0)):
        assert torch.equal(after[:, channel], moved * value)


def test_flip_mirrors_about_half() -> None:
    generator = torch.Generator().manual_seed(0)
    batch = torch.randn(1000, 1, 2, 3, generator=generator)
    after = Flip()(batch, generator)
    same = (after == batch).flatten(1).all(1)
    mirrored = (after == batch.flip(3)).flatten(1).all(1)
    assert bool((same ^ mirrored).all())
    assert 420 < int(mirrored.sum()) < 580


def test_compose_applies_in_order() -> None:
    both = Compose((lambda x, g: x + 1, lambda x, g: x * 10))
    assert both(torch.ones(1), torch.Generator()).item() == 20


def test_shift_that_cannot_be_is_refused() -> None:
    with pytest.raises(DataError, match="pixels=0"):
        Shift(0)
    with pytest.raises(DataError, match=r"per='row'.*'batch' or 'sample'"):
        Shift(1, per="row")  # type: ignore[arg-type]
