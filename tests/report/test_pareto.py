"""The Pareto picture: its front against a plain definition, and a file that is drawn."""

import random

import pytest

from tighten.report.pareto import Point, _front, pareto


@pytest.mark.parametrize("seed", range(5))
def test_the_front_holds_what_no_other_point_beats(seed):
    chance = random.Random(seed)
    points = [Point(chance.randrange(20), chance.randrange(90, 100), str(i), True) for i in range(30)]

    def beaten(p):
        return any((q.bytes <= p.bytes and q.accuracy > p.accuracy) or (q.bytes < p.bytes and q.accuracy >= p.accuracy)
                   for q in points)  # fmt: skip

    expected = {(p.bytes, p.accuracy) for p in points if not beaten(p)}
    found = _front(points)
    assert {(p.bytes, p.accuracy) for p in found} == expected
    assert [p.bytes for p in found] == sorted(p.bytes for p in found)


@pytest.mark.parametrize("passed", [(), (True,), (True, False, True)])
def test_the_picture_is_written(tmp_path, passed):
    points = [Point(1000 * (i + 1), 99 - i, f"{i}", ok) for i, ok in enumerate(passed)]
    pareto(points, 98.0, 99.5, tmp_path / "a.svg", "a title")
    drawn = (tmp_path / "a.svg").read_text()
    assert drawn.count("<svg") == 1
    assert len(drawn) > 5000
