"""The shapes of the shipped data sets, known without reading them."""

from __future__ import annotations

from tighten.data.cifar10 import CIFAR10
from tighten.data.digits import SHAPE as DIGITS
from tighten.data.imagefolder import SHAPE as IMAGEFOLDER
from tighten.data.mnist import MNIST

SHAPES = {
    "tighten.data:cifar10": CIFAR10.shape,
    "tighten.data:digits": DIGITS,
    "tighten.data:imagefolder": IMAGEFOLDER,
    "tighten.data:mnist": MNIST.shape,
}


def shape_of(path: str) -> tuple[int, ...] | None:
    """The shape of one input of the data set at an import path, without the batch axis; None where it is not known."""
    return SHAPES.get(path)
