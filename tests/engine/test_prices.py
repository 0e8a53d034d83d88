"""Recipes with budgets of multiply-accumulates and bytes, carried out by the engine."""

import pytest

import tighten as tt
from tighten.engine import Listener, run
from tighten.engine.prepare import prepare
from tighten.engine.prices import priced
from tighten.errors import PlanError
from tighten.recipes import parse

RECIPE = """
name = "tiny"
model = "tighten.zoo:DigitsNet"
data = "tighten.data:digits"
validation = 200
batch_size = 128
[dense]
epochs = 1
learning_rate = 2e-3
[[stages]]
epochs = 1
learning_rate = 2e-3
method = { name = "Admm", rho = 1e-2, rho_end = 1e-1 }
budget = { BUDGET }
allocate = "erk"
sets = { "*" = { name = "Sparse" } }
[[stages]]
epochs = 1
learning_rate = 2e-3
method = { name = "Masked" }
"""


def recipe(budget):
    return parse(RECIPE.replace("BUDGET", budget), "test")


def test_a_budget_of_macs_is_told_what_weights_cost():
    trainer = prepare(recipe("macs = 20_000"), root=None, download=False, seed=0, listener=Listener())
    plan = priced(recipe("macs = 20_000").plan(), trainer)
    assert plan[0].budget.per_weight == tt.macs_per_weight(trainer.model, trainer.data.train.inputs[:1])
    assert plan[1] == recipe("macs = 20_000").plan()[1]
    other = recipe("rate = 5").plan()
    assert priced(other, trainer) is other


def test_a_run_keeps_its_budget_of_macs(tmp_path):
    text = RECIPE.replace("BUDGET", "macs = 20_000")
    result = run(parse(text, "test"), text, tmp_path / "run")
    trainer = prepare(parse(text, "test"), root=None, download=False, seed=0, listener=Listener())
    per_weight = tt.macs_per_weight(trainer.model, trainer.data.train.inputs[:1])
    spent = sum(per_weight[site.name] * site.kept for site in result.report.sites)
    assert 0.98 * 20_000 < spent <= 20_000


def test_the_file_of_a_run_is_within_its_bytes_with_all_that_it_says(tmp_path):
    text = RECIPE.replace("BUDGET", "bytes = 4000")
    result = run(parse(text, "test"), text, tmp_path / "run")
    assert 0.98 * 4000 <= result.file.stat().st_size <= 4000
    assert tt.Artifact.open(result.file).meta["claims"]


def test_a_recipe_names_one_unit():
    with pytest.raises(PlanError, match="exactly one"):
        recipe("macs = 20_000, bytes = 4000")
