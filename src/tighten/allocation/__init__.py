"""Budgets and the rules that share them among sites. A rule is a function of (sites, count)."""

from collections.abc import Callable, Mapping
from typing import TypeAlias

from tighten.allocation.budget import Budget
from tighten.allocation.evidence import Evidence
from tighten.allocation.fisher import fisher
from tighten.allocation.lamp import lamp
from tighten.allocation.magnitude import magnitude
from tighten.allocation.uniform import uniform

Allocation: TypeAlias = Callable[[Mapping[str, Evidence], int], dict[str, int]]

__all__ = ["Allocation", "Budget", "Evidence", "fisher", "lamp", "magnitude", "uniform"]
