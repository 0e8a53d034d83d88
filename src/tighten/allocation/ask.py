"""A rule asked, and its answer held to the budget."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

from tighten.allocation.evidence import Evidence
from tighten.errors import PlanError

Allocation: TypeAlias = Callable[[Mapping[str, Evidence], float], dict[str, int]]
"""A rule: how many weights each site keeps, so that the sum of count times price is within the budget."""


def ask(rule: Allocation, sites: Mapping[str, Evidence], budget: float, unit: str) -> dict[str, int]:
    """What a rule answers.

    Args:
        rule: any allocation rule.
        sites: what is known of each site.
        budget: what all kept weights may cost.
        unit: of the budget, for messages.

    Raises:
        PlanError: nothing is left of a site, or the answer costs more than the budget.
    """
    shares = rule(sites, budget)
    dead = [name for name in sites if shares.get(name, 0) < 1]
    if dead:
        raise PlanError(f"the allocation leaves nothing of '{dead[0]}': raise the budget or leave the site out")
    spent = sum(e.price * shares[name] for name, e in sites.items())
    if spent > budget * (1 + 1e-9):
        raise PlanError(f"the allocation spends {spent:.10g} {unit} of a budget of {budget:.10g}")
    return {name: shares[name] for name in sites}
