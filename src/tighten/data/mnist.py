"""MNIST."""

from __future__ import annotations

from pathlib import Path

from tighten.data.tensors import ImageData
from tighten.data.vision import Published

MEAN, STD = 0.1307, 0.3081
MNIST = Published(
    name="MNIST",
    files=tuple(
        f"MNIST/raw/{part}"
        for part in (
            "train-images-idx3-ubyte",
            "train-labels-idx1-ubyte",
            "t10k-images-idx3-ubyte",
            "t10k-labels-idx1-ubyte",
        )
    ),
    shape=(1, 28, 28),
    train=60_000,
    test=10_000,
    mean=(MEAN,),
    std=(STD,),
)


def mnist(root: Path | None, *, validation: int = 5000, download: bool = False, seed: int = 0) -> ImageData:
    """The 70,000 handwritten digits of MNIST.

    Shape: pictures `[1, 28, 28]`; 60,000 to train and validate, 10,000 for the test.
    Source: LeCun et al. (1998), "Gradient-based learning applied to document recognition".

    Args:
        root: folder that holds `MNIST/raw`, as torchvision writes it.
        validation: examples held out from training.
        download: fetch into `root` what is missing.
        seed: of the choice of the validation set.

    Raises:
        DataError: the data is missing or damaged, torchvision is not installed, or `validation` leaves
            nothing to train on.
    """
    return MNIST.load(root, validation=validation, download=download, seed=seed)
