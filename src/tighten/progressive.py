"""The progressive plan: smaller sets step by step, each step from the result of the one before."""

from __future__ import annotations

from collections.abc import Sequence

from tighten.allocation import Allocation, Budget, fisher
from tighten.errors import PlanError
from tighten.methods import Admm, Freeze, Masked
from tighten.plan import Plan, Stage
from tighten.sets import LevelSet, Sparse, Uniform
from tighten.sites import Selector, end_weights, inner_weights, weights


def progressive(
    rate: float | None = None,
    bits: int | None = None,
    *,
    steps: int = 2,
    epochs: int = 10,
    retrain: int | None = None,
    rates: Sequence[float] | None = None,
    levels: LevelSet | None = None,
    sites: Selector = weights,
    allocate: Allocation = fisher,
) -> Plan:
    """A plan that prunes in steps, then quantizes the inner layers, then the first and the last.

    Each pruning step is ADMM under a budget for the whole network, then masked retraining; supports are
    nested. Each quantization step is ADMM, then freezing in four passes, the last of which retrains the
    biases. A pruned zero is kept apart and needs no level.

    Source: Ye et al., arXiv 1903.09769 (two steps of pruning: 1.5 times a known rate, then twice
    that, here `rates=(1.5 * r, 3 * r)`; quantization first of all layers but the first and the last).

    Args:
        rate: the pruning rate at the end; the steps between grow geometrically. None prunes nothing.
        bits: bits per kept weight; None quantizes nothing.
        steps: pruning steps.
        epochs: of ADMM in each step.
        retrain: epochs after each ADMM; by default as many.
        rates: the rate of each pruning step, in place of `rate` and `steps`.
        levels: the levels, in place of the equal distances that `bits` stands for.
        sites: what is pruned.
        allocate: the rule that shares each pruning budget among the sites.

    Raises:
        PlanError: nothing to do, or rates that do not rise.
    """
    if rate is not None and rates is not None:
        raise PlanError("progressive() was given both rate and rates: give one of them")
    if rate is not None:
        rates = [rate ** ((i + 1) / steps) for i in range(steps)]
    rates = list(rates or ())
    if any(b <= a for a, b in zip([1.0, *rates], rates, strict=False)):
        raise PlanError(f"the rates {rates} do not rise from above 1: each step must prune more than the one before")
    if bits is not None and levels is not None:
        raise PlanError("progressive() was given both bits and levels: give one of them")
    if bits is not None:
        levels = Uniform(bits=bits, zero=not rates)
    if not rates and levels is None:
        raise PlanError("progressive() has nothing to do: give rate=, rates=, bits= or levels=")
    rest = epochs if retrain is None else retrain
    stages = []
    for r in rates:
        budget = Budget(rate=r)
        stages.append(Stage({sites: Sparse()}, Admm(), epochs, budget, allocate, name=f"prune {r:g}x"))
        stages.append(Stage({}, Masked(), rest, name=f"retrain {r:g}x"))
    if levels is not None:
        for selector, where in ((inner_weights, "inner"), (end_weights, "ends")):
            pull = Admm(rho=1e-3, rho_end=0.5, commit=False)
            stages.append(Stage({selector: levels}, pull, epochs, name=f"quantize {where}"))
            stages.append(Stage({selector: levels}, Freeze(), rest, name=f"freeze {where}"))
    return Plan(stages)
