"""Published picture sets, read through torchvision and checked."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from tighten.data.split import split_validation
from tighten.data.tensors import ImageData, TensorData
from tighten.errors import DataError
from tighten.torchvision_ops import import_torchvision

CLASSES = 10


@dataclass(frozen=True)
class Published:
    """What is known of a published set of pictures in ten classes.

    Args:
        name: of its class in `torchvision.datasets`.
        files: what must lie in the data folder.
        shape: of one picture, channels first.
        train: number of training pictures.
        test: number of test pictures.
        mean: of each channel over the training pictures, in [0, 1].
        std: standard deviation, likewise.
    """

    name: str
    files: tuple[str, ...]
    shape: tuple[int, int, int]
    train: int
    test: int
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @property
    def black(self) -> tuple[float, ...]:
        """The normalised value of a black pixel, which pads a shifted picture."""
        return tuple(-m / s for m, s in zip(self.mean, self.std, strict=True))

    def load(self, root: Path | None, *, validation: int, download: bool, seed: int) -> ImageData:
        """The training, validation and test pictures, normalised.

        Raises:
            DataError: no folder is given, files are missing or damaged, torchvision is not installed,
                or `validation` leaves nothing to train on.
        """
        if root is None:
            raise DataError(f"{self.name} needs a data folder, none is given: add --data DIR")
        root = Path(root)
        if not download:
            self._check_present(root)
        everything = self._read(root, download, train=True)
        train, held = split_validation(everything, validation, seed)
        return ImageData(train, held, self._read(root, download, train=False), CLASSES, self.black)

    def _check_present(self, root: Path) -> None:
        missing = [name for name in self.files if not (root / name).is_file()]
        if missing:
            more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
            raise DataError(
                f"{self.name} is not in '{root}': looked for '{missing[0]}'{more}; "
                f"name the folder that holds '{Path(missing[0]).parts[0]}' with --data DIR, or fetch it with --download"
            )

    def _read(self, root: Path, download: bool, *, train: bool) -> TensorData:
        source = getattr(import_torchvision().datasets, self.name)
        try:
            raw = source(root, train=train, download=download)
            pictures, targets = torch.as_tensor(raw.data), torch.as_tensor(raw.targets)
        # The readers meet damage in their own ways: assertions, short buffers, unpickling, checksums.
        except Exception as error:
            what = "fetched into" if download else "read from"
            raise DataError(
                f"{self.name} could not be {what} '{root}': {_first_line(error)}; "
                "delete the damaged files there and fetch them again with --download"
            ) from error
        # As stored: [N, H, W] without colour, [N, H, W, C] with it.
        pictures = pictures.permute(0, 3, 1, 2) if pictures.ndim == 4 else pictures.unsqueeze(1)
        self._check_form(root, pictures, targets, self.train if train else self.test)
        return TensorData(self._normalised(pictures), targets.long())

    def _check_form(self, root: Path, pictures: Tensor, targets: Tensor, count: int) -> None:
        expected = (count, *self.shape)
        found = tuple(pictures.shape)
        if found != expected or tuple(targets.shape) != (count,):
            fact = f"pictures of shape {found} with {len(targets)} labels, expected {expected} with {count}"
        elif targets.min() < 0 or targets.max() >= CLASSES:
            fact = f"labels from {int(targets.min())} to {int(targets.max())}, expected 0 to {CLASSES - 1}"
        else:
            return
        raise DataError(
            f"{self.name} in '{root}' is damaged: {fact}; delete its files there and fetch them again with --download"
        )

    def _normalised(self, pictures: Tensor) -> Tensor:
        # In place: the largest set is 600 MB as float32.
        x = pictures.to(torch.float32, memory_format=torch.contiguous_format).div_(255)
        mean, std = (torch.tensor(v).view(1, -1, 1, 1) for v in (self.mean, self.std))
        return x.sub_(mean).div_(std)


def _first_line(error: Exception) -> str:
    text = str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__
