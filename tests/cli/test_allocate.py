"""`tighten allocate`: a table, a file, and the same file given back."""

import json

import pytest
from tests.cli.program import refused, tighten

from tighten.allocation import Shares
from tighten.cli.app import app
from tighten.errors import TightenError

RECIPE = """
name = "tiny"
model = "tighten.zoo:DigitsNet"
data = "tighten.data:digits"
validation = 200
[dense]
epochs = 2
learning_rate = 2e-3
[[stages]]
name = "prune"
epochs = 1
learning_rate = 2e-3
method = { name = "Admm", rho = 1e-2, rho_end = 1e-1 }
budget = { rate = 10 }
sets = { "*" = { name = "Sparse" } }
"""


@pytest.fixture(scope="module")
def allocated(tmp_path_factory):
    """A folder with the recipe and the shares of a rate of 20."""
    folder = tmp_path_factory.mktemp("allocate")
    (folder / "tiny.toml").write_text(RECIPE)
    done = tighten("allocate", "tiny.toml", "--rate", 20, "--steps", 4, "--out", "shares.toml", cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder, done


def test_the_table_is_that_of_the_file(allocated):
    folder, done = allocated
    shares = Shares.load(folder / "shares.toml")
    assert str(shares) in done.stdout
    assert "written: shares.toml" in done.stdout
    assert list(shares) == ["conv1.weight", "conv2.weight", "fc1.weight", "fc2.weight"]
    assert sum(s.count for s in shares.values()) == 22_416 // 20


def test_shares_that_were_edited_are_given_back_to_a_run(allocated):
    folder, _ = allocated
    shares = Shares.load(folder / "shares.toml")
    count = shares["conv1.weight"].count
    text = (folder / "shares.toml").read_text().replace(f"count = {count},", "count = 33,", 1)
    (folder / "mine.toml").write_text(text)
    text = RECIPE.replace("budget = { rate = 10 }", 'shares = "mine.toml"').replace(
        "validation", "fold = false\nvalidation"
    )
    (folder / "run.toml").write_text(text)
    done = tighten("run", "run.toml", "--out", "runs/a", "--threads", 1, cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "dense network taken from" in done.stdout  # the one that was trained to allocate
    report = json.loads((folder / "runs/a/result.json").read_text())["report"]
    kept = {site["name"]: site["kept"] for site in report["sites"]}
    assert kept == {name: share.count for name, share in shares.items()} | {"conv1.weight": 33}


def test_counts_and_bits_for_a_file_as_json(allocated):
    folder, _ = allocated
    options = ("--bytes", 1600, "--rule", "rate-distortion", "--steps", 2, "--json")
    done = tighten("allocate", "tiny.toml", *options, cwd=folder)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert all(0 < share["density"] <= 1 and share["bits"] in (2, 3, 4, 5, 6, 8) for share in found.values())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((), "a budget needs exactly one of"),
        (("--rate", 5, "--bits", 900), "a budget needs exactly one of"),
        (("--rate", 5, "--rule", "rate-distortion"), "one of bits or bytes"),
        (("--bits", 9000, "--rule", "rate-distortion", "--value-bits", 3), "leave --value-bits out"),
        (("--kept", 3), "fewer than there are sites"),
    ],
)
def test_what_cannot_be_is_told_before_anything_is_done(allocated, monkeypatch, options, message):
    monkeypatch.chdir(allocated[0])
    with pytest.raises(TightenError, match=message):
        app(["allocate", "tiny.toml", *map(str, options)], standalone_mode=False)


def test_a_file_that_cannot_be_written_ends_with_one_line(allocated):
    done = tighten("allocate", "tiny.toml", "--rate", 20, "--rule", "erk", "--out", "no/shares.toml", cwd=allocated[0])
    assert refused(done).startswith("error: 'no/shares.toml' cannot be written")
    assert "conv1.weight" in done.stdout  # what was found is not lost
