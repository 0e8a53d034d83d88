"""Promises in the coded stream."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from tighten.codecs.promises import Outline, promises
from tighten.codecs.stream import Reader, Writer
from tighten.codes import Code, Dense, Indexed, Sparse

GRID = torch.tensor([[True, False], [True, True]])
LEVELS = Indexed(torch.tensor([0, 1, 3]), torch.tensor([-2.0, -1.0, 1.0, 2.0]), torch.ones(1), torch.tensor([3]))
FLOATS: Code = Sparse(GRID, (1, 1), Dense(torch.ones(3)))
JOINT: Code = Sparse(GRID, (1, 1), LEVELS)


@pytest.mark.parametrize(
    ("code", "promise", "short"),
    [
        (FLOATS, {"name": "Sparse", "count": 4}, True),
        (JOINT, [{"name": "Sparse", "count": 3}, {"name": "Uniform", "bits": 2, "zero": False}], True),
        (LEVELS, {"name": "Binary"}, True),
        (LEVELS, {"name": "PowerOfTwo", "bits": 2}, True),
        (FLOATS, {"name": "Sparse", "count": 2}, False),
        (FLOATS, {"name": "Sparse", "count": 4.0}, False),
        (FLOATS, {"name": "Sparse", "density": 0.5}, False),
        (JOINT, [{"name": "Sparse", "count": 3}, {"name": "Uniform", "bits": 2, "zero": 0}], False),
        (LEVELS, [], False),
        (LEVELS, None, False),
    ],
)
def test_what_follows_from_codes_comes_back(code: Code, promise: Any, short: bool) -> None:
    writer = Writer()
    told = promises(writer, {"w": promise}, {"w": Outline.of(code)})
    assert told == ({"w": promise} if short else {})
    assert promises(Reader(*writer.finish(), allowance=0), None, {"w": Outline.of(code)}) == told
