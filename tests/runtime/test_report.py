from __future__ import annotations

import json

import pytest

from tighten.runtime import LayerReport, Report
from tighten.runtime.report import in_words

LAYERS = (
    LayerReport("conv1", "Conv2d", 0.25, "unfold-csr", 400.0, 100.0),
    LayerReport("conv2", "Conv2d", 1.0, "dense", note="4 groups"),
    LayerReport("fc", "Linear", 0.5, "dense", 12.0, 12.0),
)


def test_the_table_says_what_was_chosen_and_why_not():
    text = str(Report(LAYERS, ((64, 1, 28, 28),), 2, 2000.0, 1000.0, notes=("It is fast.",)))
    lines = text.splitlines()
    assert lines[0] == "inputs 64x1x28x28, 2 threads"
    assert lines[2].split() == ["conv1", "Conv2d", "25.00%", "unfold-csr", "400.0", "us", "100.0", "us", "4.00x"]
    assert lines[3].endswith("stays dense: 4 groups")
    assert lines[4].endswith("none")
    assert lines[5].startswith("unfold-csr: ")
    assert lines[-1] == "It is fast."


def test_gains():
    assert LAYERS[0].gain == 4
    assert LAYERS[1].gain is None
    assert Report(LAYERS, (), 1, 300.0, 100.0).gain == 3
    assert Report(LAYERS, (), 1, 300.0, 400.0, kept_plain=True).gain == 1
    assert Report(LAYERS, (), 1).gain is None


def test_data_is_json():
    data = json.loads(json.dumps(Report(LAYERS, ((1, 2),), 1, 300.0, 100.0).to_data()))
    assert data["gain"] == 3
    assert data["layers"][0]["kernel"] == "unfold-csr"


@pytest.mark.parametrize(
    ("plain", "found", "kept", "words"),
    [
        (3000.0, 1000.0, False, "The network is 3.00x as fast: 1.00 ms against 3.00 ms of the plain model."),
        (50.0, 60.0, True, "Nothing is gained: what was found takes 60.0 us against 50.0 us"),
    ],
)
def test_the_outcome_in_words(plain, found, kept, words):
    assert in_words(plain, found, kept).startswith(words)
