"""Pictures in a folder for each class, as ImageNet is laid out, read when they are needed.

Source: Russakovsky et al., "ImageNet large scale visual recognition challenge", arXiv 1409.0575.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Generator, Tensor
from torch.utils.data import DataLoader, Dataset

from tighten.data.split import split_positions
from tighten.data.tensors import ImageData
from tighten.errors import DataError
from tighten.torchvision_ops import import_torchvision

SHAPE = (3, 224, 224)
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
PARTS = ("train", "val")


@dataclass(frozen=True, eq=False)
class FolderData:
    """Labelled pictures in files.

    Args:
        folder: torchvision's `ImageFolder`, without a transform.
        positions: of the examples in it.
        targets: of the examples.
        plain: the transform that is always the same.
        random: the transform of training; None: there is none.
        workers: processes that read; 0 reads in this one.
    """

    folder: Any
    positions: Tensor
    targets: Tensor
    plain: Any
    random: Any
    workers: int

    def __len__(self) -> int:
        return len(self.targets)

    def read(self, parts: Sequence[Tensor], generator: Generator | None) -> Iterator[Tensor]:
        """The pictures at each of some runs of positions.

        Each picture's changes are drawn from a seed of its own, so that they do not depend on who reads it, or on
        what else is read.
        """
        random = generator is not None and self.random is not None
        seeds = torch.randint(2**62, (len(self),), generator=generator).tolist() if random else None
        # A generator of its own: the loader would draw from the one that all else depends on.
        return iter(
            DataLoader(
                _Pictures(self, seeds),
                batch_sampler=[index.tolist() for index in parts],
                num_workers=self.workers,
                generator=Generator(),
                pin_memory=False,
            )
        )

    def unchanged(self) -> FolderData:
        """The same examples, always read plainly."""
        return replace(self, random=None)

    def first(self) -> Tensor:
        """The first picture as a batch of one."""
        return _Pictures(self, None)[0].unsqueeze(0)


class _Pictures(Dataset[Tensor]):
    def __init__(self, data: FolderData, seeds: list[int] | None) -> None:
        self._data, self._seeds = data, seeds

    def __getitem__(self, at: int) -> Tensor:
        data = self._data
        path, _ = data.folder.samples[int(data.positions[at])]
        try:
            picture = data.folder.loader(path)
        except OSError as error:
            raise DataError(f"the picture '{path}' cannot be read ({error}): get a good copy, or remove it") from error
        if self._seeds is None:
            found: Tensor = data.plain(picture)
            return found
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self._seeds[at])
            changed: Tensor = data.random(picture)
        return changed


def imagefolder(
    root: Path | None,
    *,
    validation: int | None = None,
    download: bool = False,
    seed: int = 0,
    size: int = SHAPE[1],
    workers: int | None = None,
) -> ImageData:
    """Pictures in `train/CLASS/*` and `val/CLASS/*`, the layout in which ImageNet is used.

    Training: a random part of 8 to 100 % of the area at a random aspect, scaled to `size`, mirrored half the time.
    Otherwise: the shorter side scaled to 8/7 of `size`, the middle cut out. Both normalised as ImageNet's pictures.

    Shape: pictures `[3, size, size]`; those in `val` are the test.
    Source: the recipe of torchvision's reference training for ImageNet.

    Args:
        root: folder that holds `train` and `val`.
        validation: examples held out from `train`; None: one in twenty. Who only wants the test need not know how many
            there are.
        download: not possible; all data sources share one signature.
        seed: of the choice of the validation set.
        size: of a picture, in pixels.
        workers: processes that read pictures; None: one for each processor, at most 16.

    Raises:
        DataError: a folder is missing or holds no pictures, the two have other classes, torchvision is not
            installed, or `validation` leaves nothing to train on.
    """
    if root is None:
        raise DataError("pictures in folders need a data folder, none is given: add --data DIR")
    if size < 1:
        raise DataError(f"pictures of size={size}: give pixels, such as 224")
    if workers is None:
        workers = min(16, len(os.sched_getaffinity(0)))
    train, test = (_folder(Path(root) / part, download) for part in PARTS)
    if train.classes != test.classes:
        odd = sorted(set(train.classes) ^ set(test.classes))
        raise DataError(f"'{root}/train' and '{root}/val' have other classes, such as '{odd[0]}': give both the same")
    random, plain = _transforms(size)
    targets = torch.tensor(train.targets)
    rest, held = split_positions(targets, max(1, len(targets) // 20) if validation is None else validation, seed)
    return ImageData(
        FolderData(train, rest, targets[rest], plain, random, workers),
        FolderData(train, held, targets[held], plain, None, workers),
        FolderData(test, torch.arange(len(test)), torch.tensor(test.targets), plain, None, workers),
        classes=len(train.classes),
        fill=0.0,
    )


def _folder(path: Path, download: bool) -> Any:
    if not path.is_dir():
        fetched = "these pictures cannot be fetched: " if download else ""
        raise DataError(
            f"there is no folder '{path}': {fetched}name the folder that holds `train` and `val`, each with a folder "
            "of pictures for each class, with --data DIR"
        )
    try:
        return import_torchvision().datasets.ImageFolder(path)
    except FileNotFoundError as error:
        fact = str(error).splitlines()[0]
        raise DataError(f"'{path}' is not one folder of pictures for each class: {fact}") from error


def _transforms(size: int) -> tuple[Any, Any]:
    """Those of training and those that are always the same."""
    import_torchvision()
    from torchvision.transforms import v2

    end = [v2.PILToTensor(), v2.ToDtype(torch.float32, scale=True), v2.Normalize(MEAN, STD)]
    random = [v2.RandomResizedCrop(size, antialias=True), v2.RandomHorizontalFlip()]
    plain = [v2.Resize(size * 8 // 7, antialias=True), v2.CenterCrop(size)]
    return v2.Compose([*random, *end]), v2.Compose([*plain, *end])
