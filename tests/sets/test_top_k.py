"""The exact number of largest entries."""

from __future__ import annotations

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
