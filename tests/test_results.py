"""The committed results keep what they claim, recomputed from the files alone."""

import json
from pathlib import Path

import pytest

from tighten.verify import verify

RESULTS = Path(__file__).parents[1] / "results"
DIGITS = sorted((RESULTS / "digits").glob("*.tight"))
LENET5 = sorted((RESULTS / "lenet5").glob("*.tight"))
ULTRA_SPARSE = sorted((RESULTS / "ultra_sparse").glob("*.tight"))
RESNET20 = sorted((RESULTS / "resnet20").rglob("*.tight"))


def test_there_are_results():
    assert DIGITS
    assert LENET5
    assert ULTRA_SPARSE
    assert RESNET20


@pytest.mark.parametrize("file", DIGITS, ids=lambda file: file.stem)
def test_a_result_without_a_folder_verifies(file):
    check(file, None)


@pytest.mark.parametrize("file", LENET5, ids=lambda file: file.stem)
def test_a_result_verifies(file, data_dir):
    check(file, data_dir)


@pytest.mark.parametrize(
    "file", [pytest.param(f, marks=() if "seed0" in f.stem else pytest.mark.slow, id=f.stem) for f in ULTRA_SPARSE]
)
def test_a_record_verifies(file, data_dir):
    run, _ = measured(file, data_dir)
    assert run["bytes"] == file.stat().st_size


@pytest.mark.slow
@pytest.mark.parametrize("file", RESNET20, ids=lambda file: file.stem)
def test_a_result_on_cifar10_verifies(file, cifar_dir):
    check(file, cifar_dir)


def check(file, root):
    run, found = measured(file, root)
    assert run["report"]["sizes"]["total"] == file.stat().st_size
    assert run["report"]["kept"] == found.report.kept


def measured(file, root):
    """The JSON beside a file whose promises hold and whose accuracy is what both say; and what was found."""
    found = verify(file, root=root)
    assert found.holds, found.checks
    run = json.loads(file.with_suffix(".json").read_text(encoding="utf-8"))
    (claim,) = [check for check in found.checks if check.what == "test accuracy"]
    assert claim.promised == f"{run['accuracy']:.2f} %"
    return run, found
