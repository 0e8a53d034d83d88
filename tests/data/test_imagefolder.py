"""Pictures in folders: which are read, how they are changed, and what is said of wrong folders."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from PIL import Image
from tests.data.pictures import write_pictures

from tighten.data import batches, imagefolder
from tighten.data.imagefolder import MEAN, STD
from tighten.errors import DataError


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pictures(tmp_path_factory.mktemp("pictures"))


def epoch(data: object, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.cat([inputs for inputs, _ in batches(data, 5, generator)])  # type: ignore[arg-type]


def test_parts_and_classes(root: Path) -> None:
    data = imagefolder(root, validation=8, size=32, workers=0)
    assert [len(part) for part in (data.train, data.validation, data.test)] == [24, 8, 12]
    assert data.classes == 4
    assert data.validation.targets.bincount().tolist() == [2, 2, 2, 2]
    assert data.test.targets.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3]
    ((inputs, targets),) = batches(data.train, 24, None)
    assert inputs.shape == (24, 3, 32, 32)
    assert torch.equal(targets, data.train.targets)
    # The colour of a class is seen in its pictures.
    means = torch.stack([inputs[targets == label].mean() for label in range(4)])
    assert bool((means.diff() > 0).all())


def test_what_is_not_trained_on_is_the_middle_of_the_picture(root: Path) -> None:
    data = imagefolder(root, validation=8, size=28, workers=0)
    with Image.open(root / "val" / "n01" / "0.JPEG") as picture:
        scaled = picture.resize((32 * 64 // 50, 32), Image.Resampling.BILINEAR)
        left = round((scaled.width - 28) / 2)
        middle = torch.frombuffer(bytearray(scaled.crop((left, 2, left + 28, 30)).tobytes()), dtype=torch.uint8)
    wanted = middle.view(28, 28, 3).permute(2, 0, 1) / 255
    wanted = (wanted - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1)
    assert torch.allclose(data.test.first()[0], wanted, atol=2 / 255 / 0.22)


@pytest.mark.parametrize("workers", [0, 2])
def test_changes_are_those_of_the_generator_whoever_reads(root: Path, workers: int) -> None:
    train = imagefolder(root, validation=8, size=16, workers=workers).train
    before = torch.get_rng_state()
    again = imagefolder(root, validation=8, size=16, workers=0).train
    assert torch.equal(epoch(train, 1), epoch(again, 1))
    assert torch.equal(before, torch.get_rng_state())


def test_changes_are_new_in_every_epoch_and_can_be_left_out(root: Path) -> None:
    train = imagefolder(root, validation=8, size=16, workers=0).train
    generator = torch.Generator().manual_seed(0)
    first, second = ({float(x.sum()) for b, _ in batches(train, 5, generator) for x in b} for _ in range(2))
    assert not first & second
    plain = train.unchanged()
    assert {float(x.sum()) for x in epoch(plain, 0)} == {float(x.sum()) for x in epoch(plain, 1)}


def test_no_folder_given() -> None:
    with pytest.raises(DataError, match="--data DIR"):
        imagefolder(None)


@pytest.mark.parametrize("download", [False, True])
def test_missing_folders_are_named(tmp_path: Path, download: bool) -> None:
    with pytest.raises(DataError, match=r"nowhere/train.*--data DIR"):
        imagefolder(tmp_path / "nowhere", download=download)


def test_folders_without_pictures(tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    (tmp_path / "val").mkdir()
    with pytest.raises(DataError, match="not one folder of pictures for each class"):
        imagefolder(tmp_path)


def test_both_parts_must_have_the_same_classes(tmp_path: Path) -> None:
    root = write_pictures(tmp_path, 2, 1)
    (root / "val" / "n02").rename(root / "val" / "n99")
    with pytest.raises(DataError, match="other classes, such as 'n02'"):
        imagefolder(root, validation=2)


def test_a_damaged_picture_is_named(tmp_path: Path) -> None:
    root = write_pictures(tmp_path, 2, 1)
    (root / "val" / "n01" / "0.JPEG").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"val/n01/0.JPEG' cannot be read"):
        imagefolder(root, validation=2, workers=0).test.first()


def test_pictures_need_a_size(root: Path) -> None:
    with pytest.raises(DataError, match="size=0"):
        imagefolder(root, size=0)
