"""The decisions in the navigation: every file of docs/decisions, by its number."""

from pathlib import Path
from typing import Any

SECTION = "Decisions"


def titles(folder: Path) -> list[tuple[str, str]]:
    """Title and file name of each decision, in their order."""
    found = sorted(folder.glob("[0-9]*.md"))
    return [(path.read_text(encoding="utf-8").partition("\n")[0].removeprefix("# "), path.name) for path in found]


def on_config(config: Any) -> Any:
    """Fills the section of the navigation that is left empty for them."""
    folder = Path(config.docs_dir) / "decisions"
    fill(config.nav, SECTION, [{title: f"decisions/{name}"} for title, name in titles(folder)])
    return config


def fill(nav: Any, section: str, entries: list[dict[str, str]]) -> None:
    """Puts entries into the empty section of this name, wherever it stands.

    Raises:
        ValueError: there is none.
    """
    todo = [nav]
    while todo:
        for entry in todo.pop():
            for name, inside in entry.items() if isinstance(entry, dict) else ():
                if name == section and inside == []:
                    inside.extend(entries)
                    return
                if isinstance(inside, list):
                    todo.append(inside)
    raise ValueError(f"the navigation has no empty section '{section}': write '- {section}: []' in mkdocs.yml")
