"""The wheel and the source distribution, built as for a release."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("dist")
    environment = os.environ | {"PIP_CONSTRAINT": str(ROOT / "constraints.txt")}
    command = [sys.executable, "-m", "build", "--outdir", str(out), str(ROOT)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return out


@pytest.mark.slow
def test_wheel_holds_the_whole_package(dist: Path) -> None:
    (wheel,) = dist.glob("tighten-*.whl")
    inside = set(zipfile.ZipFile(wheel).namelist())
    source = ROOT / "src"
    wanted = {
        path.relative_to(source).as_posix()
        for path in (source / "tighten").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert wanted <= inside
    assert "tighten/py.typed" in inside
    assert {file.partition("/")[0] for file in inside} == {"tighten", f"{wheel.name.rsplit('-', 3)[0]}.dist-info"}


@pytest.mark.slow
def test_source_distribution_can_be_tested(dist: Path) -> None:
    (sdist,) = dist.glob("tighten-*.tar.gz")
    with tarfile.open(sdist) as file:
        inside = {member.partition("/")[2] for member in file.getnames()}
    for wanted in ("LICENSE", "README.md", "Makefile", "constraints.txt", "tests/conftest.py", "src/tighten/errors.py"):
        assert wanted in inside
    assert not [member for member in inside if member.startswith((".venv", ".cache", "runs"))]
