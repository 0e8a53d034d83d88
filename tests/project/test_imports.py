"""The module directions of pyproject.toml against a tree that breaks them."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LINTER = Path(sys.executable).with_name("lint-imports")


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(LINTER), "--no-cache", "--config", str(folder / "pyproject.toml")],
        cwd=folder / "src",
        env={"PYTHONPATH": str(folder / "src"), "PATH": "", "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    shutil.copytree(ROOT / "src", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("importer", "imported"),
    [
        ("codes/__init__.py", "sets"),
        ("codecs/__init__.py", "sets"),
        ("sets/__init__.py", "artifact"),
        ("plan.py", "solver"),
        ("zoo/__init__.py", "codes"),
        ("data/__init__.py", "plan"),
    ],
)
def test_wrong_direction_is_found(copy: Path, importer: str, imported: str) -> None:
    with (copy / "src" / "tighten" / importer).open("a") as file:
        file.write(f"\nimport tighten.{imported} as wrong_way\n")
    done = lint(copy)
    assert done.returncode == 1
    name = re.split(r"[/.]", importer)[0]
    assert f"tighten.{name} -> tighten.{imported}" in done.stdout


def test_unlisted_module_is_found(copy: Path) -> None:
    (copy / "src" / "tighten" / "somewhere.py").write_text('"""Nothing."""\n')
    done = lint(copy)
    assert done.returncode == 1
    assert "somewhere" in done.stdout
