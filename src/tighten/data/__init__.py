"""Small data sets held in memory, augmented by the batch."""

from tighten.data.augment import Augment, Compose, Flip, Shift
from tighten.data.batches import Batches, batches
from tighten.data.cifar10 import cifar10
from tighten.data.digits import digits
from tighten.data.mnist import mnist
from tighten.data.shapes import shape_of
from tighten.data.split import split_validation
from tighten.data.tensors import ImageData, TensorData

__all__ = [
    "Augment",
    "Batches",
    "Compose",
    "Flip",
    "ImageData",
    "Shift",
    "TensorData",
    "batches",
    "cifar10",
    "digits",
    "mnist",
    "shape_of",
    "split_validation",
]
