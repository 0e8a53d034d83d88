"""The exact number of largest entries."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tighten.sets.top_k import top_k


@pytest.mark.parametrize("count", range(1, 13))
def test_against_a_stable_sort(count: int) -> None:
    generator = torch.Generator().manual_seed(count)
    for _ in range(20):
        gain = torch.randint(-2, 4, (3, 4), generator=generator).double()
        flat = gain.flatten().tolist()
        best = sorted((i for i in range(12) if flat[i] > 0), key=lambda i: (-flat[i], i))[:count]
        assert sorted(best) == top_k(gain, count).flatten().nonzero().flatten().tolist()


@pytest.mark.parametrize("kind", ["normal", "ties", "sorted", "outlier", "zeros"])
def test_large_tensors_of_every_order(kind: str) -> None:
    n = 400_000
    x = torch.randn(n, generator=torch.Generator().manual_seed(0)).abs()
    if kind == "ties":
        x = (8 * x).round()
    elif kind == "sorted":
        x = x.sort().values
    elif kind == "outlier":
        x = torch.where(torch.arange(n) % 1000 == 0, x + 1e6, 1e-9 * x)
    elif kind == "zeros":
        x[1000:] = 0
    for count in (1, 400, 1000, 1001, n // 246, n // 4, n // 2 + 1, n - 1):
        order = x.sort(descending=True, stable=True).indices[:count]
        wanted = torch.zeros(n, dtype=torch.bool)
        wanted[order] = True
        assert torch.equal(top_k(x.view(400, 1000), count).flatten(), wanted & (x > 0))


def test_a_sample_that_misleads_costs_time_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tighten.sets.top_k._bracket", lambda flat, k: (np.float32(5.0), np.float32(6.0)))
    x = torch.arange(300_000).float()
    assert int(top_k(x, 7).nonzero()[0]) == 300_000 - 7
