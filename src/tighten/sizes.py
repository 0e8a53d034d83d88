"""Bytes on disk, split by what they say."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class SiteSizes:
    """Bytes of one constrained site.

    Args:
        positions: which entries are kept.
        values: plain values or indices.
        tables: levels and scales.
    """

    positions: int = 0
    values: int = 0
    tables: int = 0


@dataclass(frozen=True)
class Sizes:
    """Bytes of a file; the parts sum to `total`, which is the size of the file.

    Parts share one range-coded stream, in which a symbol may cost a fraction of a bit: a part's share of
    it is exact to the byte, and shares sum to the whole.

    Args:
        total: the whole file.
        positions: which entries are kept, over all sites.
        values: plain values or indices, over all sites.
        tables: levels and scales, over all sites.
        rest: tensors that no set constrains.
        header: magic, lengths, names, shapes, forms, facts and checksum.
        per_site: the same for each constrained site.
    """

    total: int
    positions: int
    values: int
    tables: int
    rest: int
    header: int
    per_site: dict[str, SiteSizes]

    @classmethod
    def of(cls, total: int, booked: Iterable[tuple[str, str, int]], sites: Iterable[str]) -> Sizes:
        """The split of `total` bytes by booked (part, site, bytes); what is not booked is header."""
        per_site = {site: {"positions": 0, "values": 0, "tables": 0} for site in sites}
        rest = 0
        for part, site, size in booked:
            if part == "rest":
                rest += size
            elif part != "header":
                per_site[site][part] += size
        shares = {site: SiteSizes(**parts) for site, parts in per_site.items()}
        positions = sum(share.positions for share in shares.values())
        values = sum(share.values for share in shares.values())
        tables = sum(share.tables for share in shares.values())
        return cls(total, positions, values, tables, rest, total - positions - values - tables - rest, shares)
