"""What the site adds to the pages: cards, formulas, decisions, commands."""

import importlib.util
import json

import pytest
from tests.docs.blocks import ROOT


def hook(name):
    spec = importlib.util.spec_from_file_location(f"docs_hooks_{name}", ROOT / "docs" / "hooks" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


cards = hook("cards")
RECIPE = 'name = "x"\nsummary = "What."\ndata = "a:b"\n[[stages]]\nepochs = 7\n'


def result(seed, accuracy):
    sites = [{"weights": 100, "kept": 10}, {"weights": 5, "kept": 5, "axes": 1}]
    report = {"sites": sites, "sizes": {"total": 1234}}
    return {"recipe": "x", "seed": seed, "accuracy": accuracy, "dense_accuracy": 99.0, "report": report, "epochs": 7,
            "seconds": 90.0, "processor": "A Chip", "threads": 2}  # fmt: skip


def test_results_are_found_wherever_they_lie(tmp_path):
    for i, seed in enumerate((1, 0)):
        (tmp_path / str(i)).mkdir()
        (tmp_path / str(i) / "any.json").write_text(json.dumps(result(seed, 98.0)))
    (tmp_path / "other.json").write_text("[1]")
    assert [run["seed"] for run in cards.results(tmp_path)["x"]] == [0, 1]


def test_a_card_says_numbers_spread_time_and_hardware():
    text = cards.card("x", RECIPE, [result(0, 98.0), result(1, 99.0)])
    assert "tighten run x --data DIR --weights FILE" in text
    assert "| 0 | 99.00 | **98.00** | 10 | 10.0x | 1,234 B | 7 | 1.5 |" in text
    assert "98.50 ± 0.71 % over 2 seeds, lowest 98.00 %" in text
    assert "on A Chip, 2 threads" in text
    assert cards.NOT_MEASURED in cards.card("x", RECIPE, [])


def test_runs_with_other_settings_are_in_no_mean():
    text = cards.card("x", RECIPE, [result(0, 98.0), {**result(0, 80.0), "epochs": 4}])
    assert "98.00 % (one seed)" in text
    assert text.index("With other settings") < text.index("**80.00**")
    assert cards.NOT_MEASURED in cards.card("x", RECIPE, [{**result(0, 80.0), "epochs": 4}])


def test_every_shipped_recipe_has_a_row():
    table = cards.table()
    assert all(f"cards/{name}.md" in table for name in cards.recipes())
    assert "99.49 ± 0.02 % over 3 seeds" in table


def test_formulas_become_mathml():
    pytest.importorskip("latex2mathml")
    page = hook("mathematics").on_page_markdown("a $`x_1`$ b\n```math\n\\frac{a}{b}\n```\n")
    assert page.count("<math") == 2
    assert "`" not in page


def test_the_decisions_are_listed_by_number():
    decisions = hook("decisions")
    titles = decisions.titles(ROOT / "docs" / "decisions")
    assert titles == sorted(titles)
    assert titles[0][0].startswith("0001: ")
    with pytest.raises(ValueError, match="no empty section"):
        decisions.fill([{"A": "a.md"}], "Decisions", [])


def test_every_command_is_on_its_page():
    text = hook("commands").commands()
    assert {"## tighten run", "## tighten init", "## tighten cite"} <= set(text.splitlines())
