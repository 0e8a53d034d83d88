"""Recipes: the shipped ones hold together, and a wrong one names its mistake."""

import pytest

from tighten.errors import TightenError
from tighten.imports import call_named, load_named
from tighten.recipes import load, parse, shipped
from tighten.sites import select

GOOD = """
name = "mine"
model = "tighten.zoo:DigitsNet"
data = "tighten.data:digits"
[dense]
epochs = 1
learning_rate = 1e-3
[[stages]]
epochs = 1
learning_rate = 1e-3
method = { name = "Admm", rho = 1e-3, rho_end = 1e-2 }
budget = { rate = 5 }
sets = { "*" = { name = "Sparse" }, "conv1.weight" = [{ name = "Sparse" }, { name = "Uniform", bits = 3 }] }
"""


@pytest.mark.parametrize("name", sorted(shipped()))
def test_shipped_recipes_fit_their_models(name):
    recipe, _ = load(name)
    assert recipe.name == name
    assert recipe.summary
    model = call_named(recipe.model, "model")
    for stage in recipe.plan():
        select(model, stage.sets)


def test_the_recipes_of_the_main_job_are_shipped():
    wanted = {"digits", "lenet5-mnist"} | {f"lenet5-mnist-{kind}" for kind in ("binary", "ternary", "pow2", "joint")}
    assert wanted <= set(shipped())


def test_a_recipe_from_a_path(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(GOOD)
    recipe, text = load(str(path))
    assert text == GOOD
    (stage,) = recipe.plan()
    assert repr(stage.sets["conv1.weight"]) == "Sparse() & Uniform(bits=3)"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("[dense]", "[dens]", "unknown key 'dens'; did you mean 'dense'"),
        (
            "epochs = 1\nlearning_rate = 1e-3\nmethod",
            "epoch = 1\nlearning_rate = 1e-3\nmethod",
            "did you mean 'epochs'",
        ),
        ('name = "mine"\n', "", "'name' is missing"),
        ("rate = 5", "rate = 0.5", "rate of 0.5"),
        ("rate = 5", "weights = 0", "budget of 0"),
        ("rho_end", "rho_ends", "did you mean 'rho_end'"),
        ('"Admm"', '"Adm"', "did you mean 'Admm'"),
        ('"Uniform"', '"Unifrom"', "did you mean 'Uniform'"),
        ("bits = 3", "bit = 3", "did you mean 'bits'"),
        ("epochs = 1\nlearning_rate = 1e-3\n[[", "epochs = 0\nlearning_rate = 1e-3\n[[", "'dense.epochs' is 0"),
        ("[dense]", "[dense", "not valid TOML"),
        ('sets = { "*" = { name = "Sparse" },', 'sets = { "*" = { name = "Sparse", density = 0 },', "density"),
    ],
)
def test_mistakes_are_named(old, new, message):
    assert old in GOOD
    with pytest.raises(TightenError, match=message):
        parse(GOOD.replace(old, new), "recipe 'mine'")


def dense(table):
    return GOOD.replace("[dense]\nepochs = 1\nlearning_rate = 1e-3\n", table)


def test_the_dense_network_is_trained_or_given():
    assert parse(GOOD, "it").dense.epochs == 1
    assert parse(dense('[dense]\nweights = "net.pt"\n'), "it").dense.weights == "net.pt"
    left_open = parse(dense(""), "it")
    assert (left_open.dense.epochs, left_open.dense.weights) == (0, None)
    given = parse(GOOD, "it").starting_from("net.pt")
    assert (given.dense.epochs, given.dense.weights) == (0, "net.pt")


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ('[dense]\nweights = "net.pt"\nepochs = 3\n', "'dense' is .*: trained weights need no epochs"),
        ("[dense]\nepochs = 3\n", "'dense' is .*: training needs .*add learning_rate"),
        ("[dense]\nlearning_rate = 1e-3\n", "'dense' is .*: training needs .*add epochs"),
        ("[dense]\nweigths = 3\n", "did you mean 'weights'"),
        ("[dense]\nepochs = 1\nlearning_rate = 0.0\n", "'dense.learning_rate' is 0.0"),
    ],
)
def test_dense_tables_that_say_half_or_both(table, message):
    with pytest.raises(TightenError, match=message):
        parse(dense(table), "it")


def test_an_unknown_name_gives_the_nearest():
    with pytest.raises(TightenError, match="did you mean 'lenet5-mnist'"):
        load("lenet-mnist")


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(TightenError, match="cannot be read"):
        load(str(tmp_path / "none.toml"))


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("tighten.zoo", "not an import path"),
        ("nowhere.at_all:Net", "cannot be imported"),
        ("tighten.zoo:Nett", "no 'Nett'"),
    ],
)
def test_import_paths_that_lead_nowhere(path, message):
    with pytest.raises(TightenError, match=message):
        load_named(path, "model")


def test_models_that_want_arguments_are_told():
    with pytest.raises(TightenError, match=r"'torch\.nn:Linear' cannot be called with \(\): missing"):
        call_named("torch.nn:Linear", "model")
    assert call_named("tighten.zoo:DigitsNet", "model").conv1


def test_sites_are_chosen_by_functions_at_an_import_path():
    text = GOOD.replace('"*" = { name', '"tighten.sites:inner_weights" = { name')
    (stage,) = parse(text, "it").plan()
    model = call_named("tighten.zoo:DigitsNet", "model")
    assert set(select(model, stage.sets)) == {"conv1.weight", "conv2.weight", "fc1.weight"}


def test_a_function_that_is_not_there():
    with pytest.raises(TightenError, match=r"selector 'tighten\.sites:nothing' does not exist"):
        parse(GOOD.replace('"*" = { name', '"tighten.sites:nothing" = { name'), "it")


def test_effort_scales_every_epoch_and_leaves_one():
    recipe, _ = load("lenet5-mnist")
    small = recipe.with_effort(0.1)
    assert small.dense.epochs == 2
    assert [stage.epochs for stage in small.stages] == [1, 1, 3, 2]
    assert small.stages[2].budget == recipe.stages[2].budget
    assert recipe.with_effort(1) is recipe
