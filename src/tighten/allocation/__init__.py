"""Budgets and the rules that share them among sites. A rule is a function of (sites, budget)."""

from tighten.allocation.ask import Allocation
from tighten.allocation.budget import Budget
from tighten.allocation.erk import erk
from tighten.allocation.evidence import Evidence
from tighten.allocation.fisher import fisher
from tighten.allocation.lamp import lamp
from tighten.allocation.magnitude import magnitude
from tighten.allocation.measured import Calibration
from tighten.allocation.rate_distortion import rate_distortion
from tighten.allocation.share import Share
from tighten.allocation.shares import Shares
from tighten.allocation.uniform import uniform

__all__ = [
    "Allocation",
    "Budget",
    "Calibration",
    "Evidence",
    "Share",
    "Shares",
    "erk",
    "fisher",
    "lamp",
    "magnitude",
    "rate_distortion",
    "uniform",
]
