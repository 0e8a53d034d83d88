"""Commands of the pages carried out for real, but with one epoch a stage and a few made-up pictures as data."""

import torch

import tighten.data
from tighten import recipes
from tighten.data import ImageData, TensorData
from tighten.zoo import ResNet20

EXAMPLES = 128


def rehearse(monkeypatch) -> None:
    """Short recipes and small data from now on, until the test ends."""
    load = recipes.load

    def shorter(name):
        recipe, text = load(name)
        return short(recipe), text

    monkeypatch.setattr(recipes, "load", shorter)
    monkeypatch.setattr(tighten.data, "digits", made_up((1, 8, 8)))
    monkeypatch.setattr(tighten.data, "mnist", made_up((1, 28, 28)))
    monkeypatch.setattr(tighten.data, "cifar10", made_up((3, 32, 32)))


def short(recipe):
    """The same recipe with one epoch of everything."""
    table = recipe.shrink.model_copy(update={"epochs": 1, "retrain": 1, "quantize": 1, "freeze": 1})
    stages = [stage.model_copy(update={"epochs": 1}) for stage in recipe.stages]
    changed = {"stages": stages, "shrink": table, "batch_size": 16}
    if recipe.dense.epochs:
        changed["dense"] = recipe.dense.model_copy(update={"epochs": 2})
    return recipe.model_copy(update=changed)


def made_up(shape):
    """A data source of pictures in which each class has its own bright places."""

    def source(root=None, *, validation=0, download=False, seed=0, normalize=None):
        generator = torch.Generator().manual_seed(seed)

        def part(count):
            targets = torch.arange(count) % 10
            inputs = torch.randn((count, *shape), generator=generator) / 4
            flat = inputs.flatten(1)
            places = (targets[:, None] + 10 * torch.arange(flat.shape[1] // 10)) % flat.shape[1]
            flat.scatter_add_(1, places, torch.full_like(flat[:, : places.shape[1]], 1.0))
            return TensorData(inputs, targets)

        return ImageData(part(EXAMPLES), part(50), part(50), classes=10, fill=0.0)

    return source


def trained_resnet(path) -> None:
    """A file of weights for the recipes that ask for one."""
    torch.manual_seed(0)
    torch.save(ResNet20().state_dict(), path)
