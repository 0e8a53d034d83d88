"""Real data for the tests that need it, pages without pictures for those that are not of them, no deadlines."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from markupsafe import Markup

# No test is timed: the first example may compile, and the machine may be busy.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

REPOSITORY = Path(__file__).resolve().parents[1]
UNPACK = REPOSITORY.parent / "shared" / "data" / "unpack.py"
CACHE = REPOSITORY / ".cache" / "data"
DRAWN = {"report", "docs"}
"""Folders of the tests that look at pictures; drawing them takes half a second a run."""


@pytest.fixture(scope="module", autouse=True)
def _pictures(request: pytest.FixtureRequest) -> Iterator[None]:
    """Empty pictures in the pages of all other tests."""
    with pytest.MonkeyPatch.context() as patch:
        if request.path.parent.name not in DRAWN:
            for module in ("curves", "histograms", "html"):
                patch.setattr(f"tighten.report.{module}.svg", lambda *about: Markup("<svg></svg>"))
        yield


def _folder_with(name: str, part: str) -> Path:
    """A folder that holds the data set `name`: the one of TIGHTEN_DATA, or one unpacked here once."""
    if given := os.environ.get("TIGHTEN_DATA"):
        if not (Path(given) / part).is_dir():
            pytest.skip(f"TIGHTEN_DATA={given} holds no {part}")
        return Path(given)
    if not UNPACK.is_file():
        pytest.skip(f"needs {name}: set TIGHTEN_DATA to a folder that holds {part}")
    subprocess.run([sys.executable, str(UNPACK), str(CACHE), "--only", name], check=True)
    return CACHE


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """A folder with MNIST as torchvision lays it out."""
    return _folder_with("mnist", "MNIST/raw")


@pytest.fixture(scope="session")
def cifar_dir() -> Path:
    """A folder with CIFAR-10 as torchvision lays it out."""
    return _folder_with("cifar10", "cifar-10-batches-py")


@pytest.fixture(scope="session")
def pretrained_dir() -> Path:
    """The folder of networks trained elsewhere."""
    folder = UNPACK.parent / "pretrained"
    if not folder.is_dir():
        pytest.skip("needs the folder of pretrained networks beside the repository")
    return folder
