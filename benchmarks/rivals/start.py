"""The start that all rivals share, made once by the project and kept in a file."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tighten.cli.progress import Progress
from tighten.data import ImageData, TensorData, mnist
from tighten.data.mnist import MEAN, STD
from tighten.engine import accuracy
from tighten.engine.dense import dense_network
from tighten.engine.prepare import prepare as prepare_trainer
from tighten.recipes import load

RECIPE = "lenet5-mnist"
PIXELS = 2
"""Largest shift in each direction."""
QUICK = 8000
"""Training pictures of the quick version."""


def prepare(path: Path, data: Path | None, quick: bool) -> dict[str, Any]:
    """The shared start, read from `path` or made and kept there.

    It holds the training pictures as bytes with a border, their classes, the dense network of the shipped recipe
    (seed 0), and that network's outputs for every shift of every picture: nobody has to run it again. Validation and
    test pictures are left out, so no rival can see them.

    Args:
        path: of the file.
        data: folder of MNIST.
        quick: few pictures, and a dense network trained for a tenth of the epochs.
    """
    if path.exists():
        found: dict[str, Any] = torch.load(path)
        return found
    recipe = load(RECIPE)[0].with_effort(0.1 if quick else 1)
    with Progress() as progress:
        trainer = prepare_trainer(recipe, root=data, download=False, seed=0, listener=progress)
        if quick:
            trainer.data = replace(trainer.data, train=few(trainer.data.train))
        # A shortened training is no dense network for others.
        dense_network(trainer, recipe, 0, path.parent / (".dense-quick" if quick else ".dense"))
    train = trainer.data.train
    assert isinstance(train, TensorData)
    pictures = F.pad(train.inputs[:, 0].mul(STD).add(MEAN).mul(255).round().byte(), (PIXELS,) * 4)
    start = {
        "pictures": pictures,
        "targets": train.targets,
        "outputs": torch.stack(list(outputs(trainer.model, pictures, trainer.precision)), dim=1),
        "dense": trainer.model.state_dict(),
        "mean": MEAN,
        "std": STD,
        "pixels": PIXELS,
        "batch_size": recipe.batch_size,
        "precision": trainer.precision,
        "quick": quick,
        "validation_accuracy": accuracy(trainer.model, trainer.data.validation),
        "accuracy": accuracy(trainer.model, trainer.data.test),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(start, path)
    return start


def few(train: Any) -> TensorData:
    """The first pictures of the training data."""
    found: TensorData = train.subset(torch.arange(QUICK))
    return found


@torch.no_grad()
def outputs(model: nn.Module, pictures: Tensor, precision: str) -> Iterator[Tensor]:
    """What the network says of all pictures at each shift, down first, then right, in half precision."""
    model.eval()
    side = pictures.shape[-1] - 2 * PIXELS
    for dy in range(2 * PIXELS + 1):
        for dx in range(2 * PIXELS + 1):
            told = []
            for part in pictures[:, dy : dy + side, dx : dx + side].split(1000):
                inputs = part.float().div(255).sub(MEAN).div(STD).unsqueeze(1)
                inputs = inputs.contiguous(memory_format=torch.channels_last)
                with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
                    told.append(model(inputs).half())
            yield torch.cat(told)


def held_out(data: Path | None) -> ImageData:
    """The pictures that rivals are scored on, never trained on."""
    return mnist(data, validation=load(RECIPE)[0].validation, seed=0)
