"""The state of a method as plain data: through a file and back, for one process and for several."""

from __future__ import annotations

import io
from typing import Any

import pytest
import torch
from tests.sets.sharing import shared
from torch import Tensor

import tighten as tt
from tighten.methods.base import Problem
from tighten.methods.support import Support
from tighten.methods.written import read, written
from tighten.schedules import Clock
from tighten.sets import Set
from tighten.sets.part import Part

SETS = [
    tt.Sparse(density=0.3),
    tt.Uniform(bits=3),
    tt.Sparse(density=0.3) & tt.Uniform(bits=3),
    tt.FilterSparse(count=3),
]


def stated(s: Set, w: Tensor, parts: dict[str, Part]) -> Any:
    """A state after an update of ADMM, which has all that one may have."""
    problem = Problem(lambda: {"w": w}, {"w": s}, lambda *_: {"w": s}, Clock(1, 2), dict, parts)
    method = tt.Admm(rho=0.5, rho_end=1.0)
    state = method.start(problem)
    state.step = 1
    method.after_step(problem, state)
    return state


def through_a_file(plain: dict[str, Any]) -> dict[str, Any]:
    buffer = io.BytesIO()
    torch.save(plain, buffer)
    buffer.seek(0)
    found: dict[str, Any] = torch.load(buffer, weights_only=True)
    return found


@pytest.mark.parametrize("s", SETS, ids=str)
def test_a_state_comes_back_whoever_wrote_it(s: Set) -> None:
    w = torch.randn(7, 8, generator=torch.Generator().manual_seed(0))
    alone = through_a_file(written(stated(s, w, {}), {"w": s}, {}))

    def work(local: Tensor, part: Part) -> tuple[dict[str, Any], bool]:
        parts = {"w": part}
        state = stated(s, local, parts)
        plain = through_a_file(written(state, {"w": s}, parts))
        again = read(alone, {"w": s}, parts, {"w": local})
        near = torch.allclose(again.targets["w"], state.targets["w"], rtol=1e-5, atol=1e-7)
        return plain, near and torch.equal(again.point("w").dense() != 0, state.point("w").dense() != 0)

    for plain, near in shared(w, 3, 0, work):
        assert near
        torch.testing.assert_close(plain["targets"]["w"], alone["targets"]["w"], rtol=1e-5, atol=1e-7)
        assert plain["rho"] == alone["rho"]
        assert plain["primal"]["w"] == pytest.approx(alone["primal"]["w"])
        assert plain["supports"].keys() == alone["supports"].keys()
        for name, support in alone["supports"].items():
            assert torch.equal(plain["supports"][name]["grid"], support["grid"])


def test_older_states_lack_what_came_later() -> None:
    w = torch.randn(4, 4)
    plain = written(stated(SETS[1], w, {}), {"w": SETS[1]}, {})
    for later in ("supports", "gradient_sums", "gradient_squares"):
        del plain[later]
    state = read(plain, {"w": SETS[1]}, {}, {"w": w})
    assert not state.supports
    assert state.gradient_sums == {}


def test_a_support_and_v_tell_z() -> None:
    x = torch.randn(6, 4)
    code = tt.FilterSparse(count=2).fit(x)
    support = Support.of(code)
    assert support is not None
    assert torch.equal(support.code(x).dense(), code.dense())
    assert Support.of(tt.Uniform(bits=2).fit(x)) is None
    assert Support.of((tt.Sparse(density=0.5) & tt.Binary()).fit(x)) is None, "its values lie in a table"
