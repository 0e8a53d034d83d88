"""Bars: as long as their parts, and never without a part that is there."""

import pytest

from tighten.report.bars import bar


@pytest.mark.parametrize(
    ("parts", "drawn"),
    [
        ((), "··········"),
        ((100,), "██████████"),
        ((50, 30, 20), "█████▓▓▓░░"),
        ((0.1, 0, 0.1), "█░········"),
        ((99, 0.5, 0.5), "██████████"),
        ((24, 24, 24), "██▓▓▓░░···"),
    ],
)
def test_bars(parts, drawn):
    assert bar(parts, 10) == drawn
