"""Data sets: small ones held in memory and augmented by the batch, large ones read from folders of pictures."""

from tighten.data.augment import Augment, Compose, Flip, Shift
from tighten.data.batches import Batches, batches
from tighten.data.cifar10 import cifar10
from tighten.data.digits import digits
from tighten.data.imagefolder import imagefolder
from tighten.data.mnist import mnist
from tighten.data.shapes import shape_of
from tighten.data.share import ALL, Share
from tighten.data.split import split_validation
from tighten.data.tensors import Examples, ImageData, TensorData

__all__ = [
    "ALL",
    "Augment",
    "Batches",
    "Compose",
    "Examples",
    "Flip",
    "ImageData",
    "Share",
    "Shift",
    "TensorData",
    "batches",
    "cifar10",
    "digits",
    "imagefolder",
    "mnist",
    "shape_of",
    "split_validation",
]
