"""Pictures of what is kept: small tensors entry by entry, large ones as maps of density, first filters one by one."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from tighten.codes import Code, Sparse
from tighten.report.png import address

POSITIVE, NEGATIVE, KEPT = (20, 140, 165), (232, 110, 40), (20, 140, 165)
MOST_PICTURES = 16
MOST_CELLS = 128
"""Across and down; what has more is drawn as a map of density."""
MOST_FILTERS = 64
WIDE, TALL = 420, 260
"""Of a picture on the page, at most."""

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Picture:
    """One tensor.

    Args:
        site: its name.
        says: what is drawn and how.
        address: of the picture, which holds it whole.
        width, height: on the page.
    """

    site: str
    says: str
    address: str
    width: int
    height: int


def pictures(codes: Mapping[str, Code]) -> list[Picture]:
    """The weights among the sites, in order; where they are too many, those with the most entries."""
    shapes: dict[str, tuple[int, ...]] = {
        name: code.shape for name, code in codes.items() if len(code.shape) >= 2 and 0 not in code.shape
    }
    chosen = set(sorted(shapes, key=lambda name: -codes[name].dense().numel())[:MOST_PICTURES])
    first = next((name for name, shape in shapes.items() if len(shape) == 4 and shape[2] * shape[3] > 1), None)
    drawn = [_filters(first, codes[first].dense())] if first is not None else []
    return drawn + [picture(name, codes[name]) for name in shapes if name in chosen and name != first]


def picture(name: str, code: Code) -> Picture:
    """One tensor as a matrix: an output to each row, all that it reads along the row; turned where it is taller."""
    values = _matrix(code.dense())
    support = _matrix(code.support) != 0 if isinstance(code, Sparse) else np.ones(values.shape, np.bool_)
    turned = values.shape[0] > values.shape[1]
    if turned:
        values, support = values.T, support.T
    rows, columns = values.shape
    across = ("outputs across, inputs down" if turned else "inputs across, outputs down") + f", {columns} x {rows}"
    if max(rows, columns) <= MOST_CELLS:
        return _placed(name, f"each weight; {across}", signed(values, support))
    blocks = density(support, MOST_CELLS)
    peak = float(blocks.max())
    says = f"density, full colour is {100 * peak:.3g} %; {across}"
    return _placed(name, says, _coloured(KEPT, np.sqrt(blocks / peak) if peak else blocks), rows / columns)


def density(support: NDArray[np.bool_], most: int) -> NDArray[np.float64]:
    """The part of kept entries in each of at most `most` by `most` rectangles of nearly one size."""
    rows, columns = (np.linspace(0, n, min(n, most) + 1).round().astype(int) for n in support.shape)
    sums = np.add.reduceat(np.add.reduceat(support.astype(np.float64), rows[:-1], axis=0), columns[:-1], axis=1)
    return np.asarray(sums / np.outer(np.diff(rows), np.diff(columns)))


def signed(values: NDArray[np.float64], support: NDArray[np.bool_]) -> Pixels:
    """Weights as colours: one colour for each sign, stronger for larger ones, nothing where they are pruned."""
    peak = float(np.abs(values).max()) or 1.0
    # A kept zero is seen, too.
    strength = np.where(support, 0.25 + 0.75 * np.abs(values) / peak, 0.0)
    pixels = _coloured(POSITIVE, strength)
    pixels[values < 0, :3] = NEGATIVE
    return pixels


def _filters(name: str, weight: Tensor) -> Picture:
    """Filters side by side; those of three channels in colours, of more as the mean over their channels."""
    x = weight.double().cpu().numpy()[:MOST_FILTERS]
    kept = (x != 0).any(axis=1)
    if x.shape[1] == 3:
        # Centred as a whole: a filter is a pattern around grey.
        peak = float(np.abs(x).max()) or 1.0
        tiles = np.zeros((*kept.shape, 4), np.uint8)
        tiles[..., :3] = np.rint(127.5 + 127.5 * x / peak).transpose(0, 2, 3, 1)
        tiles[..., 3] = np.where(kept, 255, 0)
        how = "as colours"
    else:
        tiles = np.stack([signed(t, k) for t, k in zip(x.mean(axis=1), kept, strict=True)])
        how = "each weight" if x.shape[1] == 1 else f"mean over {x.shape[1]} channels"
    says = f"{len(x)} of {len(weight)} filters, " if len(x) < len(weight) else f"{len(x)} filters, "
    return _placed(name, says + how, sheet(list(tiles)))


def sheet(tiles: Sequence[Pixels]) -> Pixels:
    """Tiles of one size in rows, a pixel apart."""
    height, width, _ = tiles[0].shape
    about = max(1, math.ceil(math.sqrt(2 * len(tiles))))
    across = min(len(tiles), min(range(about, 2 * about), key=lambda n: (-len(tiles) % n, n)))
    down = math.ceil(len(tiles) / across)
    whole = np.zeros((down * (height + 1) - 1, across * (width + 1) - 1, 4), np.uint8)
    for i, tile in enumerate(tiles):
        top, left = i // across * (height + 1), i % across * (width + 1)
        whole[top : top + height, left : left + width] = tile
    return whole


def _matrix(x: Tensor) -> NDArray[np.float64]:
    return np.asarray(x.reshape(x.shape[0], -1).cpu().double().numpy())


def _coloured(colour: tuple[int, int, int], strength: NDArray[np.float64]) -> Pixels:
    pixels = np.zeros((*strength.shape, 4), np.uint8)
    pixels[..., :3] = colour
    pixels[..., 3] = np.rint(255 * np.clip(strength, 0, 1))
    return pixels


def _placed(name: str, says: str, pixels: Pixels, ratio: float | None = None) -> Picture:
    """A picture in its place: square entries as far as there is room, never too flat to see."""
    height, width = pixels.shape[:2]
    ratio = height / width if ratio is None else ratio
    across = min(WIDE, max(120, width * 14), TALL / ratio)
    return Picture(name, says, address(pixels), round(across), max(28, round(across * ratio)))
