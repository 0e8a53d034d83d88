"""A small folder of pictures laid out as ImageNet is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

CLASSES = ("n01", "n02", "n03", "n04")


def write_pictures(root: Path, train: int = 8, val: int = 3) -> Path:
    """Noisy pictures in a colour of their class, of several sizes, as JPEG."""
    chance = np.random.default_rng(0)
    for part, count in (("train", train), ("val", val)):
        for label, name in enumerate(CLASSES):
            folder = root / part / name
            folder.mkdir(parents=True)
            for k in range(count):
                shape = (50 + 7 * k, 64 + 3 * label, 3)
                pixels = chance.integers(0, 120, shape) + 40 * label
                Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{k}.JPEG", quality=95)
    return root
