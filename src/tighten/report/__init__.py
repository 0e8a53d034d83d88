"""What a compressed network consists of and costs."""

from tighten.report.report import Report, SiteReport, report

__all__ = ["Report", "SiteReport", "report"]
