"""Shares of a budget of bytes of the real file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from tighten.allocation.ask import Allocation
from tighten.allocation.bits import bits_of, share_bits
from tighten.allocation.evidence import Evidence
from tighten.allocation.reach import Trial, reach
from tighten.errors import PlanError

WINDOW = (0.988, 0.992, 0.996)
"""The least, the wanted and the most that a file may take of its budget.

Training that follows changes values, and so the size by some bytes: the rest of the budget is room for them.
"""
TRIES = 12


@dataclass(frozen=True)
class Calibration:
    """Bytes of the file as a straight line over the bits of evenly scattered supports.

    Args:
        bits, bytes: of the smallest network, one weight in each site.
        slope: bytes for each bit more.
        epoch: of the stage, when the slope was measured.
    """

    bits: float
    bytes: float
    slope: float
    epoch: int = 0

    def bits_for(self, bytes: float) -> float:
        """The bits that come to so many bytes."""
        return max(self.bits, self.bits + (bytes - self.bytes) / self.slope)

    def through(self, bits: float, bytes: float) -> Calibration:
        """The line through the smallest network and this one."""
        if bits <= self.bits or bytes <= self.bytes:
            return self
        return replace(self, slope=(bytes - self.bytes) / (bits - self.bits))


@dataclass(frozen=True)
class Meter:
    """What is needed to share bytes.

    Args:
        size_of: bytes of the real file when so many weights of each site are kept.
        value_bits: bits that a kept value is planned to take.
    """

    size_of: Callable[[Mapping[str, int]], int]
    value_bits: int

    def exact(
        self, sites: Mapping[str, Evidence], rule: Allocation, bytes: int, known: Calibration | None, epoch: int
    ) -> tuple[dict[str, int], Calibration]:
        """Shares whose file was measured: at most the budget, and within one weight or 2 % of it.

        Args:
            sites: what is known of each site.
            rule: the allocation rule.
            bytes: the budget.
            known: an earlier calibration, which saves encodings.
            epoch: of the stage.

        Cost: up to a dozen encodings of the file.

        Raises:
            PlanError: the file is too large whatever the shares are.
        """
        sizes = _sizes(sites)
        least = dict.fromkeys(sites, 1)
        slope = 1 / 8 if known is None else known.slope
        line = Calibration(bits_of(sizes, least, self.value_bits), self.size_of(least), slope, epoch)
        check_bytes(int(line.bytes), bytes)

        def trial(bits: float) -> Trial:
            counts = share_bits(sites, rule, bits, self.value_bits)
            return Trial(bits, counts, self.size_of(counts))

        smallest = Trial(line.bits, least, line.bytes)
        low, aim, high = (part * bytes for part in WINDOW)
        whole = {name: e.room for name, e in sites.items()}
        found = reach(trial, smallest, line.bits_for(aim), (low, aim, high), TRIES, whole)
        return dict(found.counts), line.through(bits_of(sizes, found.counts, self.value_bits), found.cost)

    def estimate(
        self, sites: Mapping[str, Evidence], rule: Allocation, bytes: int, line: Calibration, epoch: int
    ) -> tuple[dict[str, int], Calibration]:
        """Shares whose file will come near to the budget, by a line that is measured anew in each epoch.

        Cost: one encoding of the file in each epoch.
        """
        aim = WINDOW[1] * bytes
        counts = share_bits(sites, rule, line.bits_for(aim), self.value_bits)
        if line.epoch == epoch:
            return counts, line
        bits = bits_of(_sizes(sites), counts, self.value_bits)
        line = replace(line.through(bits, self.size_of(counts)), epoch=epoch)
        return share_bits(sites, rule, line.bits_for(aim), self.value_bits), line


def check_bytes(least: int, bytes: int) -> None:
    """Nothing, where the smallest file fits.

    Raises:
        PlanError: it does not.
    """
    if least > bytes:
        raise PlanError(
            f"a file of {bytes} bytes cannot hold this network: with one weight in each open site, the header and "
            f"all that is not open to the budget come to {least} bytes, {least - bytes} too many: raise the budget to "
            f'more than {least}, or open more sites to it, such as "*.bias": Sparse()'
        )


def _sizes(sites: Mapping[str, Evidence]) -> dict[str, int]:
    return {name: e.size for name, e in sites.items()}
