"""MNIST and CIFAR-10: the real ones, and what is said of missing and damaged ones."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tighten.data import cifar10, mnist
from tighten.data.cifar10 import CIFAR10
from tighten.errors import DataError


@pytest.fixture
def mnist_copy(data_dir: Path, tmp_path: Path) -> Path:
    """A folder of links to MNIST, any of which a test may replace."""
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for file in (data_dir / "MNIST" / "raw").glob("*ubyte"):
        (raw / file.name).symlink_to(file.resolve())
    return tmp_path


def replace(file: Path, content: bytes) -> None:
    file.unlink()
    file.write_bytes(content)


def test_mnist_is_the_published_set(data_dir: Path) -> None:
    data = mnist(data_dir, validation=10_000, seed=1)
    assert [len(part) for part in (data.train, data.validation, data.test)] == [50_000, 10_000, 10_000]
    assert data.train.inputs.shape[1:] == (1, 28, 28)
    assert data.test.targets[:5].tolist() == [7, 2, 1, 0, 4]
    assert abs(data.train.inputs.mean()) < 0.01
    assert abs(data.train.inputs.std() - 1) < 0.01
    assert data.train.inputs.min().item() == pytest.approx(data.fill[0])
    counts = (data.train.targets.bincount() + data.validation.targets.bincount()).tolist()
    assert counts == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]


@pytest.mark.slow
def test_cifar10_is_the_published_set(cifar_dir: Path) -> None:
    data = cifar10(cifar_dir, validation=5000)
    assert [len(part) for part in (data.train, data.validation, data.test)] == [45_000, 5000, 10_000]
    assert data.test.inputs.shape[1:] == (3, 32, 32)
    assert data.test.targets[:5].tolist() == [3, 8, 8, 0, 6]
    # Each channel has its own mean, so that channels in a wrong order show here.
    assert data.train.inputs.mean(dim=(0, 2, 3)).abs().max() < 0.01
    assert (data.train.inputs.std(dim=(0, 2, 3)) - 1).abs().max() < 0.01


@pytest.mark.slow
def test_cifar10_as_imagenet_is_normalised(cifar_dir: Path) -> None:
    own, other = cifar10(cifar_dir).test.inputs[:100], cifar10(cifar_dir, normalize="imagenet").test.inputs[:100]
    for channel, (mean, std) in enumerate([(0.485, 0.229), (0.456, 0.224), (0.406, 0.225)]):
        pictures = own[:, channel] * CIFAR10.std[channel] + CIFAR10.mean[channel]
        assert torch.allclose(other[:, channel], (pictures - mean) / std, atol=1e-5)


@pytest.mark.parametrize("wrong", ["imagnet", 3, {}])
def test_unknown_normalisation_is_told_before_the_data_is_read(wrong: object) -> None:
    with pytest.raises(DataError, match="cifar10, imagenet"):
        cifar10(None, normalize=wrong)  # type: ignore[arg-type]


def test_no_folder_given() -> None:
    with pytest.raises(DataError, match=r"MNIST needs a data folder.*--data DIR"):
        mnist(None)


@pytest.mark.parametrize(("source", "part"), [(mnist, "MNIST"), (cifar10, "cifar-10-batches-py")])
def test_missing_files_are_named_with_the_fix(source: object, part: str, tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        source(tmp_path / "nowhere")  # type: ignore[operator]
    message = str(caught.value)
    for word in ("nowhere", f"looked for '{part}/", "--data DIR", "--download"):
        assert word in message


@pytest.mark.parametrize(
    ("file", "cut"),
    [
        ("train-images-idx3-ubyte", slice(0, 1000)),
        ("train-labels-idx1-ubyte", slice(0, 0)),
        ("train-labels-idx1-ubyte", slice(0, 3)),
        ("t10k-images-idx3-ubyte", slice(0, -1)),
        ("t10k-labels-idx1-ubyte", slice(4, None)),
    ],
)
def test_truncated_file_is_damage(mnist_copy: Path, file: str, cut: slice) -> None:
    target = mnist_copy / "MNIST" / "raw" / file
    replace(target, target.read_bytes()[cut])
    with pytest.raises(DataError, match=f"MNIST could not be read from '{mnist_copy}'.*--download"):
        mnist(mnist_copy)


def test_files_of_the_other_part_are_damage(mnist_copy: Path) -> None:
    raw = mnist_copy / "MNIST" / "raw"
    for kind in ("images-idx3-ubyte", "labels-idx1-ubyte"):
        replace(raw / f"train-{kind}", (raw / f"t10k-{kind}").read_bytes())
    with pytest.raises(DataError, match=r"shape \(10000, 1, 28, 28\).*expected \(60000, 1, 28, 28\)"):
        mnist(mnist_copy)


def test_impossible_label_is_damage(mnist_copy: Path) -> None:
    labels = mnist_copy / "MNIST" / "raw" / "train-labels-idx1-ubyte"
    content = bytearray(labels.read_bytes())
    content[100] = 77
    replace(labels, bytes(content))
    with pytest.raises(DataError, match="labels from 0 to 77, expected 0 to 9"):
        mnist(mnist_copy)


def test_damaged_cifar10(tmp_path: Path) -> None:
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    for name in (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch", "batches.meta"):
        (folder / name).write_bytes(b"not a batch")
    with pytest.raises(DataError, match=f"CIFAR10 could not be read from '{tmp_path}'"):
        cifar10(tmp_path)


def test_validation_too_large(data_dir: Path) -> None:
    with pytest.raises(DataError, match="validation=60000 of 60000"):
        mnist(data_dir, validation=60_000)
