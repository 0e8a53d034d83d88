"""Handwritten digits of 8 by 8 pixels, embedded in scikit-learn."""

from __future__ import annotations

from pathlib import Path

import torch

from tighten.data.split import split_validation
from tighten.data.tensors import ImageData, TensorData

MEAN, STD = 0.3053, 0.3764
SHAPE = (1, 8, 8)
TEST_COUNT = 400
# The test set is the same whatever the seed of a run, so that results can be compared.
TEST_SEED = 0


def digits(root: Path | None = None, *, validation: int = 200, download: bool = False, seed: int = 0) -> ImageData:
    """The 1,797 handwritten digits that come with scikit-learn; nothing to download.

    Shape: pictures `[1, 8, 8]`; 400 for the test, and by default 200 for validation and 1,197 to train.
    Source: Alpaydin and Kaynak (1998), "Optical recognition of handwritten digits", UCI repository.

    Args:
        root: not used; all data sources share one signature.
        validation: examples held out from training.
        download: not used.
        seed: of the choice of the validation set.

    Raises:
        DataError: `validation` leaves nothing to train on.
    """
    # Only here: scikit-learn takes a second to import, and no other data set needs it.
    from sklearn.datasets import load_digits

    bunch = load_digits()
    pictures = torch.from_numpy(bunch.images).float().unsqueeze(1).div_(16)
    everything = TensorData(pictures.sub_(MEAN).div_(STD), torch.from_numpy(bunch.target).long())
    known, test = split_validation(everything, TEST_COUNT, TEST_SEED)
    train, held = split_validation(known, validation, seed)
    return ImageData(train, held, test, classes=10, fill=-MEAN / STD)
