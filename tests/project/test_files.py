"""Habits of the source tree that no linter checks."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LONGEST = 400
FOLDERS = ("src", "tests", "benchmarks", "docs", "examples", "results", ".ci")
FILES = [
    path
    for folder in FOLDERS
    for path in sorted((ROOT / folder).rglob("*"))
    if path.is_file() and path.suffix != ".pyc"
]
PYTHON = [path for path in FILES if path.suffix == ".py"]
TEXT = [
    *FILES,
    *(path for path in ROOT.iterdir() if path.suffix in {".md", ".toml", ".txt"} or path.name == "Makefile"),
]
MACHINE_PATH = re.compile(r"(?<![\w.:/-])/(?:work|root|home|tmp|Users|opt)/")


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def prints(source: str) -> list[int]:
    """The lines that call the built-in print."""
    return [
        node.lineno
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    ]


def text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return ""  # a binary file


def test_the_tree_was_found() -> None:
    assert "src/tighten/errors.py" in map(name, PYTHON)
    assert "Makefile" in map(name, TEXT)


def test_no_file_is_too_long() -> None:
    long = {name(path): lines for path in PYTHON if (lines := len(path.read_text().splitlines())) > LONGEST}
    assert not long, f"over {LONGEST} lines: {long}"


def test_no_machine_paths() -> None:
    found = [
        f"{name(path)}:{number}: {line.strip()}"
        for path in TEXT
        for number, line in enumerate(text_of(path).splitlines(), 1)
        if MACHINE_PATH.search(line)
    ]
    assert not found, "\n".join(found)


def test_no_print_in_the_package() -> None:
    found = [
        f"{name(path)}:{line}"
        for path in PYTHON
        if path.is_relative_to(ROOT / "src")
        for line in prints(path.read_text())
    ]
    assert not found, "\n".join(found)


def test_no_drawer_for_odds_and_ends() -> None:
    assert not [name(path) for path in PYTHON if path.stem in {"utils", "util", "helpers", "misc"}]


@pytest.mark.parametrize(("line", "is_path"), [("see /ho" + "me/me/x", True), ("a/ho" + "me/x", False)])
def test_the_pattern_tells_paths(line: str, is_path: bool) -> None:
    assert bool(MACHINE_PATH.search(line)) is is_path


def test_print_is_told_from_methods() -> None:
    assert prints("console.print(1)\nprint(2)\n") == [2]
