"""A bar for each layer: what is kept of it, and where its bytes go."""

from __future__ import annotations

from dataclasses import dataclass

from tighten.report.report import Report


@dataclass(frozen=True)
class Layer:
    """One row, with the lengths of its bars in percent.

    Args:
        name: of the site.
        weights, kept: entries.
        rate: all divided by the kept ones.
        values: such as "15 levels, 4 bits" or "free, 32 bits".
        bytes: in the file.
        parts: bytes of positions, values and tables.
        kept_bar: of the full width.
        part_bars: likewise; the row with the most bytes fills it.
    """

    name: str
    weights: int
    kept: int
    rate: float
    values: str
    bytes: int
    parts: tuple[int, int, int]
    kept_bar: float
    part_bars: tuple[float, float, float]


def layers(report: Report) -> list[Layer]:
    """The sites of a report in their order."""
    most = max((site.bytes for site in report.sites), default=0) or 1
    rows = []
    for site in report.sites:
        parts = (site.positions, site.values, site.tables)
        levels = "free" if site.levels is None else f"{site.levels} level" + "s" * (site.levels != 1)
        rows.append(
            Layer(
                name=site.name,
                weights=site.weights,
                kept=site.kept,
                rate=site.rate,
                values=f"{levels}, {site.bits} bit" + "s" * (site.bits != 1),
                bytes=site.bytes,
                parts=parts,
                kept_bar=100 * site.kept / max(1, site.weights),
                part_bars=(100 * parts[0] / most, 100 * parts[1] / most, 100 * parts[2] / most),
            )
        )
    return rows
