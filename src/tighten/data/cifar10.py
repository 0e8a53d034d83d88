"""CIFAR-10."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Literal

from tighten.data.tensors import ImageData
from tighten.data.vision import Published
from tighten.errors import DataError
from tighten.suggest import nearest

CIFAR10 = Published(
    name="CIFAR10",
    files=tuple(f"cifar-10-batches-py/{part}" for part in (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch")),
    shape=(3, 32, 32),
    train=50_000,
    test=10_000,
    mean=(0.4914, 0.4822, 0.4465),
    std=(0.2470, 0.2435, 0.2616),
)
# Mean and standard deviation of each channel: of CIFAR-10's own training pictures, or of ImageNet's, which
# many published CIFAR networks were trained with.
NORMALIZATIONS = {
    "cifar10": (CIFAR10.mean, CIFAR10.std),
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
}


def cifar10(
    root: Path | None,
    *,
    validation: int = 5000,
    download: bool = False,
    seed: int = 0,
    normalize: Literal["cifar10", "imagenet"] = "cifar10",
) -> ImageData:
    """The 60,000 small photographs of CIFAR-10.

    Shape: pictures `[3, 32, 32]`; 50,000 to train and validate, 10,000 for the test.
    Source: Krizhevsky (2009), "Learning multiple layers of features from tiny images".

    Args:
        root: folder that holds `cifar-10-batches-py`, as torchvision writes it.
        validation: examples held out from training.
        download: fetch into `root` what is missing.
        seed: of the choice of the validation set.
        normalize: whose mean and standard deviation the pictures are brought to; a trained network needs those
            that it was trained with.

    Raises:
        DataError: the data is missing or damaged, torchvision is not installed, `validation` leaves
            nothing to train on, or `normalize` is none of the two.
    """
    if normalize not in list(NORMALIZATIONS):
        near = nearest(str(normalize), NORMALIZATIONS)
        raise DataError(f"normalize={normalize!r}{near}; give one of {', '.join(NORMALIZATIONS)}")
    mean, std = NORMALIZATIONS[normalize]
    return replace(CIFAR10, mean=mean, std=std).load(root, validation=validation, download=download, seed=seed)
