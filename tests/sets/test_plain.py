"""Sets as plain data."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pytest

from tighten.errors import SetError
from tighten.sets import (
    Binary,
    BlockSparse,
    ChannelSparse,
    Codebook,
    FilterSparse,
    NMSparse,
    PowerOfTwo,
    Set,
    Sparse,
    Ternary,
    Uniform,
    from_data,
    to_data,
)


@pytest.mark.parametrize(
    "s",
    [
        Sparse(),
        Sparse(count=5),
        Sparse(density=0.1),
        NMSparse(2, 4),
        BlockSparse((4, 2), density=0.5),
        FilterSparse(count=3),
        ChannelSparse(density=1.0),
        Binary(),
        Binary(per_channel=True),
        Ternary(),
        Uniform(3),
        Uniform(3, interval=0.25),
        Uniform(4, zero=False, per_channel=True),
        PowerOfTwo(3, top=-2),
        Codebook(bits=2),
        Codebook(values=(-1.0, 0.5)),
        Sparse() & Uniform(3, zero=False),
        BlockSparse((2, 2), count=3) & Codebook(levels=6),
    ],
    ids=str,
)
def test_there_and_back_through_json(s: Set) -> None:
    assert from_data(json.loads(json.dumps(to_data(s)))) == s


def test_defaults_are_left_out() -> None:
    assert to_data(Sparse(count=5)) == {"name": "Sparse", "count": 5}
    assert to_data(Uniform(3) & Sparse()) == [{"name": "Sparse"}, {"name": "Uniform", "bits": 3}]
    assert to_data(Uniform(3, zero=False)) == {"name": "Uniform", "bits": 3, "zero": False}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"name": "Sparce", "count": 5}, "no set 'Sparce'; did you mean 'Sparse'"),
        ({"name": "zzz"}, "give one of Binary, BlockSparse"),
        ({"count": 5}, "no set None"),
        ({"name": 3}, "no set 3"),
        ({"name": "Set"}, "no set 'Set'"),
        ({"name": "Intersection"}, "no set 'Intersection'"),
        ({"name": "to_data"}, "no set 'to_data'"),
        ({"name": "os:path"}, "no set 'os:path'"),
        ({"name": "no.such.module:Sparse"}, "no set 'no.such.module:Sparse'"),
        ({"name": "Sparse", "densty": 0.1}, "no setting 'densty'; did you mean 'density'"),
        ({"name": "Sparse", "units": "x"}, "no setting 'units'"),
        ({"name": "Ternary", "bits": 2}, "no setting 'bits'.*it has per_channel"),
        ({"name": "NMSparse", "n": 2}, "NMSparse cannot be made.*'m'"),
        ({"name": "Sparse", "count": "5"}, "count='5'"),
        ({"name": "Sparse", "count": [5]}, r"count=\(5,\)"),
        ({"name": "Sparse", "density": {}}, r"density=\{\}"),
        ({"name": "Uniform", "bits": None}, "bits=None"),
        ({"name": "Codebook", "values": 3}, "values=3"),
        ({"name": "Codebook", "values": [[1], {}]}, "give a finite number"),
        ({"name": "BlockSparse", "block": "ab", "count": 1}, "block='ab'"),
        ([{"name": "Sparse"}, {"name": "Sparse"}], "has no projection"),
        ([{"name": "Sparse"}], "does not describe a set"),
        ([{"name": "Sparse"}, 3], "does not describe a set"),
        ("Sparse", "does not describe a set"),
        (None, "does not describe a set"),
    ],
    ids=str,
)
def test_what_is_wrong_is_named(data: Any, message: str) -> None:
    with pytest.raises(SetError, match=message):
        from_data(data)


@dataclass(frozen=True)
class Wide(Ternary):
    """A set from elsewhere."""

    width: int = 1


def test_a_set_from_elsewhere_is_found_where_the_program_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    data = to_data(Wide(width=3))
    assert data == {"name": f"{__name__}:Wide", "width": 3}
    import sys
    import types

    module = types.ModuleType(__name__)
    vars(module)["Wide"] = Wide
    monkeypatch.setitem(sys.modules, __name__, module)
    assert from_data(data) == Wide(width=3)
