"""What a compressed network consists of and costs."""

from tighten.report.pareto import Point, pareto
from tighten.report.report import Report, SiteReport, report

__all__ = ["Point", "Report", "SiteReport", "pareto", "report"]
