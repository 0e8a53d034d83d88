"""Random changes to a batch of pictures that keep their class."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from tighten.errors import DataError

Augment: TypeAlias = Callable[[Tensor, Generator], Tensor]
"""Takes a batch `[N, C, H, W]` and the generator of all chance; gives a batch of the same shape."""


@dataclass(frozen=True)
class Shift:
    """Pictures moved by up to `pixels` in each direction, the rest filled with background.

    Args:
        pixels: largest move.
        fill: normalised value of the background, one for all channels or one for each.
        per: one move for the whole `"batch"` (cheapest), or one for each `"sample"` (regularises better).

    Raises:
        DataError: `pixels` is less than 1, or `per` is neither of the two.
    """

    pixels: int
    fill: float | tuple[float, ...] = 0.0
    per: Literal["batch", "sample"] = "batch"

    def __post_init__(self) -> None:
        if self.pixels < 1:
            raise DataError(f"Shift(pixels={self.pixels}) moves nothing: give at least 1, or leave the shift out")
        if self.per not in ("batch", "sample"):
            raise DataError(f"Shift(per={self.per!r}): give 'batch' or 'sample'")

    def __call__(self, batch: Tensor, generator: Generator) -> Tensor:
        n, _, height, width = batch.shape
        moves = 2 * self.pixels + 1
        padded = F.pad(batch, (self.pixels,) * 4)
        background = torch.as_tensor(self.fill, dtype=batch.dtype, device=batch.device).view(-1, 1, 1)
        border = F.pad(torch.zeros_like(batch[:1, :1]), (self.pixels,) * 4, value=1.0)
        padded = torch.where(border.bool(), background, padded)
        if self.per == "batch":
            dy, dx = torch.randint(moves, (2,), generator=generator).tolist()
            return padded[:, :, dy : dy + height, dx : dx + width]
        dy, dx = torch.randint(moves, (2, n), generator=generator).to(batch.device)
        # A view with one window per move; picking one window for each picture copies only what is kept.
        windows = padded.unfold(2, height, 1).unfold(3, width, 1)
        return windows[torch.arange(n, device=batch.device), :, dy, dx]


@dataclass(frozen=True)
class Flip:
    """Each picture mirrored left to right with probability one half."""

    def __call__(self, batch: Tensor, generator: Generator) -> Tensor:
        mirrored = torch.rand(len(batch), 1, 1, 1, generator=generator).to(batch.device) < 0.5
        return torch.where(mirrored, batch.flip(3), batch)


@dataclass(frozen=True)
class Compose:
    """Several changes, one after the other."""

    steps: tuple[Augment, ...]

    def __call__(self, batch: Tensor, generator: Generator) -> Tensor:
        for step in self.steps:
            batch = step(batch, generator)
        return batch
