"""One thread, so that measurements do not count what other programs do, and short turns, so that tests are quick."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from tighten.runtime import clock


@pytest.fixture(autouse=True)
def quick_measurements(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(clock, "_TURN", 0.0005)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
