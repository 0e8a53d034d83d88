"""The documentation says what the program accepts."""

import re
from pathlib import Path

from tighten.recipes import parse

DOCS = Path(__file__).parents[2] / "docs"


def test_the_documented_recipe_is_valid():
    (text,) = re.findall(r"```toml\n(.*?)```", (DOCS / "recipes.md").read_text(encoding="utf-8"), re.DOTALL)
    # The reader of the example has a network of their own.
    recipe = parse(text, "docs/recipes.md")
    assert [str(stage) for stage in recipe.plan()] == ["prune", "masked"]


def test_links_lead_to_files():
    for page in [*DOCS.rglob("*.md"), DOCS.parent / "README.md"]:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"
