"""CIFAR-10."""

from __future__ import annotations

from pathlib import Path

from tighten.data.tensors import ImageData
from tighten.data.vision import Published

CIFAR10 = Published(
    name="CIFAR10",
    files=tuple(f"cifar-10-batches-py/{part}" for part in (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch")),
    shape=(3, 32, 32),
    train=50_000,
    test=10_000,
    mean=(0.4914, 0.4822, 0.4465),
    std=(0.2470, 0.2435, 0.2616),
    fill=0.0,  # the mean colour: photographs have no background
)


def cifar10(root: Path | None, *, validation: int = 5000, download: bool = False, seed: int = 0) -> ImageData:
    """The 60,000 small photographs of CIFAR-10.

    Shape: pictures `[3, 32, 32]`; 50,000 to train and validate, 10,000 for the test.
    Source: Krizhevsky (2009), "Learning multiple layers of features from tiny images".

    Args:
        root: folder that holds `cifar-10-batches-py`, as torchvision writes it.
        validation: examples held out from training.
        download: fetch into `root` what is missing.
        seed: of the choice of the validation set.

    Raises:
        DataError: the data is missing or damaged, torchvision is not installed, or `validation` leaves
            nothing to train on.
    """
    return CIFAR10.load(root, validation=validation, download=download, seed=seed)
