"""The committed results keep what they claim, recomputed from the files alone."""

import json
from pathlib import Path

import pytest

from tighten.verify import verify

RESULTS = Path(__file__).parents[1] / "results" / "lenet5"
FILES = sorted(RESULTS.glob("*.tight"))


def test_there_are_results():
    assert FILES


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_result_verifies(file, data_dir):
    found = verify(file, root=data_dir)
    assert found.holds, found.checks
    run = json.loads(file.with_suffix(".json").read_text(encoding="utf-8"))
    assert run["report"]["sizes"]["total"] == file.stat().st_size
    assert run["report"]["kept"] == found.report.kept
    (claim,) = [check for check in found.checks if check.what == "test accuracy"]
    assert claim.promised == f"{run['accuracy']:.2f} %"
