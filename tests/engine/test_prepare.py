"""What a recipe names: its data with settings of their own, and the precision of this device."""

from pathlib import Path

import pytest
import torch

from tighten.data import ImageData, TensorData
from tighten.engine.events import Listener
from tighten.engine.prepare import load_data, prepare
from tighten.errors import RecipeError
from tighten.recipes import parse

RECIPE = """
name = "tiny"
model = "tighten.zoo:DigitsNet"
data = "tighten.data:digits"
validation = 200
[dense]
epochs = 1
learning_rate = 1e-3
[[stages]]
epochs = 1
learning_rate = 1e-3
method = { name = "Masked" }
sets = { "*" = { name = "Sparse", density = 0.5 } }
"""


def source(root: Path | None, *, validation: int = 1, download: bool = False, seed: int = 0, shade: float = 0.0):
    """A data source with a setting of its own."""
    part = TensorData(torch.full((4, 1, 8, 8), shade), torch.zeros(4, dtype=torch.int64))
    return ImageData(part, part, part, classes=10, fill=0.0)


@pytest.fixture
def named(monkeypatch):
    monkeypatch.setattr("tighten.data.shaded", source, raising=False)
    return "tighten.data:shaded"


def test_settings_reach_the_source(named):
    assert load_data(named, {}, None, download=False).test.inputs.max() == 0
    assert load_data(named, {"shade": 0.5}, None, download=False, validation=1, seed=0).test.inputs.max() == 0.5


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"shad": 1}, "unexpected keyword argument 'shad'"), ({"seed": 1}, "cannot hold 'seed'"), ({"root": "/"}, "root")],
)
def test_settings_that_are_not_its_own_are_refused(named, settings, message):
    with pytest.raises(RecipeError, match=message):
        load_data(named, settings, None, download=False)


def test_recipes_pass_settings_on(named):
    text = RECIPE.replace('"tighten.data:digits"', f'"{named}"\ndata_settings = {{ shade = 0.25 }}')
    recipe = parse(text, "test")
    trainer = prepare(recipe, root=None, download=False, seed=0, listener=Listener())
    assert trainer.data.train.inputs.unique().tolist() == [0.25]
    assert recipe.facts() == {"model": recipe.model, "data": named, "data_settings": {"shade": 0.25}}
    assert "data_settings" not in parse(RECIPE, "test").facts()


def test_precisions_follow_each_other_in_one_process():
    def output_type(choice):
        recipe = parse(f'precision = "{choice}"\n{RECIPE}', "test")
        trainer = prepare(recipe, root=None, download=False, seed=0, listener=Listener())
        assert trainer.precision == choice
        seen = []
        trainer.model.register_forward_hook(lambda module, given, output: seen.append(output.dtype))
        optimizer = trainer.optimizer(trainer.model, 1e-3)
        scheduler = torch.optim.lr_scheduler.ConstantLR(optimizer, 1.0)
        trainer.epoch("plain", 1, recipe.dense, optimizer, scheduler)
        return seen[0]

    assert [output_type(c) for c in ("bf16", "fp32", "bf16")] == [torch.bfloat16, torch.float32, torch.bfloat16]


def test_the_optimizer_takes_its_own_settings():
    recipe = parse(RECIPE.replace("[dense]", "optimizer_settings = { weight_decay = 0.25 }\n[dense]"), "it")
    trainer = prepare(recipe, root=None, download=False, seed=0, listener=Listener())
    optimizer = trainer.optimizer(trainer.model, 1e-3)
    assert [(group["lr"], group["weight_decay"]) for group in optimizer.param_groups] == [(1e-3, 0.25)]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("optimizer_settings = { momentum = 0.9 }", "cannot be made with .*momentum"),
        ("optimizer_settings = { eps = -1 }", "cannot be made with"),
        ('optimizer = "torch.nn:ParameterList"', "cannot be made with"),
    ],
)
def test_an_optimizer_that_cannot_be_made_is_told_before_training(line, message):
    recipe = parse(RECIPE.replace("[dense]", f"{line}\n[dense]"), "it")
    with pytest.raises(RecipeError, match=message):
        prepare(recipe, root=None, download=False, seed=0, listener=Listener())
