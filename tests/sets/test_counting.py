"""The k-th largest, found by counting."""

from __future__ import annotations

import pytest
import torch
from tests.sets.sharing import shared

from tighten.sets.counting import kth_largest, kth_largest_key


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("ties", [False, True])
def test_it_is_the_one_that_sorting_finds(dtype: torch.dtype, ties: bool) -> None:
    x = torch.randn(500, generator=torch.Generator().manual_seed(3), dtype=torch.float64).abs() * 1e-3
    x = ((x * 2e3).round() / 2e3 if ties else x).to(dtype)
    x[7], x[8] = 0.0, torch.finfo(dtype).tiny / 2
    wanted = x.sort(descending=True).values
    for k in (1, 2, 137, 499, 500):
        for found in shared(x, 4, 0, lambda local, part, k=k: kth_largest(local, k, part)):
            assert found == wanted[k - 1]


def test_whole_numbers_of_many_digits() -> None:
    x = torch.randint(1 << 40, (300,), generator=torch.Generator().manual_seed(0))
    wanted = x.sort(descending=True).values.tolist()
    for k in (1, 150, 300):
        assert shared(x, 3, 0, lambda local, part, k=k: kth_largest_key(local, k, 40, part)) == [wanted[k - 1]] * 3
