"""The figures of a compressed network, read off its artifact alone."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import torch

from tighten.artifact import Artifact, Sizes
from tighten.codes import Code, Indexed, Sparse
from tighten.notebook import table
from tighten.report.bars import SIGNS, bar

PARTS = ", ".join(map(" ".join, zip(SIGNS, ("positions", "values", "tables"), strict=True)))
"""What the signs of a bar stand for."""


@dataclass(frozen=True)
class SiteReport:
    """One constrained site.

    Args:
        name: state-dict name.
        weights: all entries.
        kept: entries of the support; all of them where nothing is pruned.
        levels: distinct values of the kept entries, None where they are free.
        bits: bits that tell the levels apart; 32 for free float32 values.
        positions, values, tables: bytes in the file.
        axes: of the tensor; with two or more it is a weight, else a bias or a part of a batch norm.
        scales: numbers that the levels are multiplied with: one for the site, or one for each output channel.
    """

    name: str
    weights: int
    kept: int
    levels: int | None
    bits: int
    positions: int
    values: int
    tables: int
    axes: int
    scales: int = 0

    @property
    def is_weight(self) -> bool:
        """Whether its entries count as weights in rates."""
        return self.axes >= 2

    @property
    def rate(self) -> float:
        """All entries divided by the kept ones."""
        return self.weights / max(1, self.kept)

    @property
    def bytes(self) -> int:
        """Everything that the site costs in the file."""
        return self.positions + self.values + self.tables


@dataclass(frozen=True)
class Report:
    """A whole network.

    Args:
        sites: the constrained sites.
        biases: all other floating-point numbers: the constrained sites of one axis, and the parameters and
            buffers that no set constrains.
        kept_biases: those of them that are kept; all but what is pruned.
        sizes: exact bytes on disk.
        dense_bytes: bytes of the plain state dict.
    """

    sites: tuple[SiteReport, ...]
    biases: int
    kept_biases: int
    sizes: Sizes
    dense_bytes: int

    @property
    def weights(self) -> int:
        """All entries of the constrained weights: the sites of two or more axes."""
        return sum(site.weights for site in self.sites if site.is_weight)

    @property
    def kept(self) -> int:
        """Kept entries of the constrained weights."""
        return sum(site.kept for site in self.sites if site.is_weight)

    @property
    def scales(self) -> int:
        """Scales of the levels of all sites."""
        return sum(site.scales for site in self.sites)

    @property
    def rate(self) -> float:
        """The pruning rate of the constrained weights, biases not counted."""
        return self.weights / max(1, self.kept)

    @property
    def rate_with_biases(self) -> float:
        """The pruning rate with every other number counted on both sides."""
        return (self.weights + self.biases) / max(1, self.kept + self.kept_biases)

    @property
    def bytes_rate(self) -> float:
        """Bytes of the plain state dict divided by bytes of the file."""
        return self.dense_bytes / self.sizes.total

    def to_data(self) -> dict[str, Any]:
        """The figures as JSON-able data."""
        rates = {"rate": self.rate, "rate_with_biases": self.rate_with_biases, "bytes_rate": self.bytes_rate}
        counts = {"weights": self.weights, "kept": self.kept, "scales": self.scales}
        return {**asdict(self), **counts, **rates}

    def _repr_html_(self) -> str:
        rows = [
            (s.name, f"{s.weights:,}", f"{s.kept:,}", f"{s.rate:.1f}x", "free" if s.levels is None else str(s.levels),
             str(s.bits), f"{s.bytes:,}", drawn)
            for s, drawn in zip(self.sites, self._bars(), strict=True)
        ]  # fmt: skip
        header = ("site", "weights", "kept", "rate", "levels", "bits", "bytes", PARTS)
        return table(header, rows, str(self).splitlines()[-1])

    def __str__(self) -> str:
        lines = [f"{'site':<24}{'weights':>10}{'kept':>9}{'rate':>8}{'levels':>8}{'bits':>6}{'bytes':>8}  {PARTS}"]
        for s, drawn in zip(self.sites, self._bars(), strict=True):
            levels = "free" if s.levels is None else str(s.levels)
            row = f"{s.name:<24}{s.weights:>10,}{s.kept:>9,}{s.rate:>7.1f}x{levels:>8}{s.bits:>6}{s.bytes:>8,}"
            lines.append(f"{row}  {drawn}")
        z = self.sizes
        pruned = f" and {self.kept_biases:,} of {self.biases:,} biases" if self.kept_biases < self.biases else ""
        scales = f" ({self.scales:,} scales)" if self.scales else ""
        lines.append(
            f"{self.kept:,} of {self.weights:,} weights{pruned}: "
            f"{self.rate:.1f}x ({self.rate_with_biases:.1f}x with biases); "
            f"{z.total:,} bytes on disk, {self.bytes_rate:.0f}x smaller: positions {z.positions:,}, "
            f"values {z.values:,}, tables {z.tables:,}{scales}, rest {z.rest:,}, header {z.header:,}"
        )
        return "\n".join(lines)

    def _bars(self) -> list[str]:
        """The bytes of each site, drawn; the site with the most fills its bar."""
        most = max((s.bytes for s in self.sites), default=0) or 1
        return [bar([100 * b / most for b in (s.positions, s.values, s.tables)], 20) for s in self.sites]


def report(artifact: Artifact) -> Report:
    """The figures of an artifact, counted from the decoded tensors and the bytes of its file."""
    sizes = artifact.sizes()
    sites = []
    for name, code in artifact.codes.items():
        part = sizes.per_site[name]
        kept = code.kept if isinstance(code, Sparse) else math.prod(code.shape)
        levels = _levels(code)
        bits = math.ceil(math.log2(max(2, levels))) if levels is not None else code.dense().element_size() * 8
        entry = (name, math.prod(code.shape), kept, levels, bits, part.positions, part.values, part.tables)
        sites.append(SiteReport(*entry, axes=len(code.shape), scales=_scales(code)))
    free = sum(t.numel() for t in artifact.rest.values() if t.is_floating_point())
    biases = free + sum(site.weights for site in sites if not site.is_weight)
    kept_biases = free + sum(site.kept for site in sites if not site.is_weight)
    dense = sum(t.numel() * t.element_size() for t in artifact.state_dict().values())
    return Report(tuple(sites), biases, kept_biases, sizes, dense)


def _levels(code: Code) -> int | None:
    """Levels in use (per scale), whatever the table offers; None where the values are free."""
    inner = code.inner if isinstance(code, Sparse) else code
    return len(torch.unique(inner.index)) if isinstance(inner, Indexed) else None


def _scales(code: Code) -> int:
    inner = code.inner if isinstance(code, Sparse) else code
    return inner.scale.numel() if isinstance(inner, Indexed) else 0
