"""What a run folder belongs to, beside the text of the recipe."""

import pytest

from tighten.allocation import Share, Shares
from tighten.engine.identity import identity
from tighten.errors import RunError
from tighten.recipes import parse

TRAINED = """
name = "small"
model = "tighten.zoo:DigitsNet"
data = "tighten.data:digits"
[dense]
epochs = 1
learning_rate = 1e-3
"""
STAGE = """
[[stages]]
epochs = 1
learning_rate = 1e-3
method = { name = "Masked" }
sets = { "fc1.weight" = { name = "Sparse" } }
"""
GIVEN = TRAINED.split("[dense]")[0]


def test_a_recipe_that_reads_no_file_is_its_text():
    assert identity(parse(TRAINED + STAGE + "budget = { rate = 2 }\n", "test")) == ""


def test_weights_count_by_their_bytes_and_not_by_their_name(tmp_path):
    recipe = parse(GIVEN + STAGE + "budget = { rate = 2 }\n", "test")
    first, copy = tmp_path / "a.pt", tmp_path / "b.pt"
    first.write_bytes(b"some bytes")
    copy.write_bytes(b"some bytes")
    line = identity(recipe.starting_from(str(first)))
    assert line.startswith("# weights of SHA-256 ")
    assert line.count("\n") == 1
    assert line == identity(recipe.starting_from(str(copy)))
    copy.write_bytes(b"other bytes")
    assert line != identity(recipe.starting_from(str(copy)))
    with pytest.raises(RunError, match=r"none\.pt"):
        identity(recipe.starting_from(str(tmp_path / "none.pt")))
    with pytest.raises(RunError, match="--weights"):
        identity(recipe)


def test_edited_shares_make_another_run(tmp_path):
    file = tmp_path / "shares.toml"
    Shares({"fc1.weight": Share(10, 16_384)}).save(file)
    recipe = parse(TRAINED + STAGE + f"shares = '{file}'\n", "test")
    line = identity(recipe)
    assert line.startswith("# shares of SHA-256 ")
    Shares({"fc1.weight": Share(20, 16_384)}).save(file)
    assert line != identity(recipe)
