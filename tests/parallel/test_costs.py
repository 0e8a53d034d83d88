"""The formulas of docs/many-processes.md, held to what two processes really hold and send."""

from __future__ import annotations

from tests.parallel.costs import each
from tests.parallel.spawn import in_processes

import tighten as tt

COUNTS, FLAGS = 8 * (2**11 + 2**11 + 2**9), 3 * 8
"""Of one projection of float32."""
UPDATE = COUNTS + FLAGS + 8 + 2 * 16
"""Of one layer: the projection, a flag that all is finite, and two residuals."""


def test_memory_and_traffic_are_those_of_the_page() -> None:
    sizes, budget = [64, 96, 160], 300
    entries = [n * n for n in sizes]
    for with_density, with_budget in in_processes(
        2, each, [(sizes, tt.Sparse(density=0.1), None), (sizes, tt.Sparse(), budget)]
    ):
        assert with_density["weights"] == 4 * sum(entries) // 2
        for found in (with_density, with_budget):
            assert found["held"] == 1.25 * found["weights"]
            assert found["step, summed"] == found["step, gathered"] == 0
        assert with_density["update, summed"] == len(sizes) * UPDATE
        assert with_density["update, gathered"] == 0
        # Each process gathers what the budget could buy, of float32 magnitudes, and not a whole layer.
        most = sum(4 * min(n, budget + 1) for n in entries)
        assert 0 < with_budget["update, gathered"] <= most
