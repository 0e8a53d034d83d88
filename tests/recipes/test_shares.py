"""Stages whose numbers come from a file."""

import re

import pytest

import tighten as tt
from tighten.errors import PlanError, TightenError
from tighten.recipes import parse
from tighten.sites import select
from tighten.solver import check_stage
from tighten.zoo import DigitsNet

RECIPE = """
name = "mine"
model = "tighten.zoo:DigitsNet"
data = "tighten.data:digits"
[dense]
epochs = 1
learning_rate = 1e-3
[[stages]]
name = "prune"
epochs = 1
learning_rate = 1e-3
method = { name = "Masked" }
shares = "shares.toml"
sets = { "*" = { name = "Sparse" } }
"""
SHARES = """
"conv1.weight" = { count = 60, of = 144, bits = 5 }
"conv2.weight" = { count = 300, of = 4608, bits = 3 }
"fc1.weight" = { count = 400, of = 16384 }
"fc2.weight" = { count = 200, of = 1280, bits = 2 }
"""


@pytest.fixture
def stage(tmp_path, monkeypatch):
    """A function that gives the stage of the recipe with these sets and shares."""
    monkeypatch.chdir(tmp_path)

    def made(sets='{ "*" = { name = "Sparse" } }', shares=SHARES):
        (tmp_path / "shares.toml").write_text(shares)
        (found,) = parse(RECIPE.replace('{ "*" = { name = "Sparse" } }', sets), "recipe 'mine'").plan()
        return found

    return made


def sets_of(stage):
    return select(DigitsNet(), stage.sets)


def test_open_supports_take_their_counts(stage):
    found = stage()
    check_stage(DigitsNet(), found)
    assert found.budget is None
    assert {name: s.count for name, s in sets_of(found).items()} == {
        "conv1.weight": 60,
        "conv2.weight": 300,
        "fc1.weight": 400,
        "fc2.weight": 200,
    }


def test_uniform_levels_take_their_bits_where_the_share_has_some(stage):
    found = sets_of(stage('{ "*" = { name = "Uniform", bits = 4, zero = false } }'))
    assert {name: s.bits for name, s in found.items()} == {
        "conv1.weight": 5,
        "conv2.weight": 3,
        "fc1.weight": 4,
        "fc2.weight": 2,
    }
    assert not any(s.zero for s in found.values())


def test_intersections_take_both_and_what_is_closed_stays(stage):
    both = '[{ name = "Sparse" }, { name = "Uniform", bits = 4, zero = false }]'
    sets = f'{{ "*" = {both}, "fc*" = {{ name = "Sparse", density = 0.5 }}, "conv2.weight" = {{ name = "Binary" }} }}'
    assert sets_of(stage(sets)) == {
        "conv1.weight": tt.Sparse(count=60) & tt.Uniform(5, zero=False),
        "conv2.weight": tt.Binary(),
        "fc1.weight": tt.Sparse(density=0.5),
        "fc2.weight": tt.Sparse(density=0.5),
    }


def test_a_stage_takes_only_the_sites_that_its_sets_name(stage):
    assert list(sets_of(stage('{ "conv*" = { name = "Sparse" } }'))) == ["conv1.weight", "conv2.weight"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (('"fc1.weight"', '"fc9.weight"'), "'shares.toml' name 'fc9.weight', which DigitsNet does not have; did you"),
        (("of = 16384", "of = 16383"), "of = 16383 for 'fc1.weight', which has 16384 entries"),
        (("count = 60", "count = 145"), "'conv1.weight' has count = 145: give a whole number from 1 to 144"),
        ((SHARES, '"fc1.weight" = { count = 5, of = 16384 }'), "the set of 'conv1.weight' names no count"),
        ((SHARES, '"conv1.weight" ='), "'shares.toml' are not valid TOML"),
        ((SHARES, "x = { count = 5, of = 6 }"), "'shares.toml' name 'x', which DigitsNet does not have"),
    ],
)
def test_mistakes_are_found_before_training(stage, change, message):
    assert change[0] in SHARES
    with pytest.raises(PlanError, match=re.escape(message)):
        check_stage(DigitsNet(), stage(shares=SHARES.replace(*change)))


def test_shares_for_none_of_the_sets_and_a_budget_beside_are_refused(stage, tmp_path):
    with pytest.raises(TightenError, match=r"name x, and the stage's sets are for conv\*"):
        stage('{ "conv*" = { name = "Sparse" } }', "x = { count = 5, of = 6 }")
    (tmp_path / "shares.toml").write_text(SHARES)
    with pytest.raises(TightenError, match=r"stage 'prune' has a budget and shares = 'shares\.toml'"):
        parse(RECIPE + "budget = { rate = 5 }\n", "recipe 'mine'")
    (tmp_path / "shares.toml").unlink()
    with pytest.raises(TightenError, match=r"shares\.toml' cannot be read.*tighten allocate"):
        parse(RECIPE, "recipe 'mine'")
