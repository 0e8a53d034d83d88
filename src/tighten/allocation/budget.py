"""What the whole network may spend."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from tighten.allocation.ask import Allocation, ask
from tighten.allocation.bits import check_bits, share_bits
from tighten.allocation.evidence import Evidence
from tighten.errors import PlanError

UNITS = ("weights", "rate", "bits", "bytes", "macs")
PLAIN_BITS = 32


@dataclass(frozen=True)
class Budget:
    """What is kept of all open sites together, in one of five units.

    Args:
        weights: kept weights.
        rate: all weights of the open sites divided by the kept ones (246 for "246x").
        bits: positions and values of the open sites: log2 of all supports with as many entries, and
            `value_bits` for each kept value.
        bytes: the size of the `.tight` file of the whole model, with header, biases and all else: at most this
            at the end of the stage and of the plan, and within 2 % of it where there is that much to keep.
        macs: multiply-accumulates of the kept weights for one example.
        value_bits: bits that a kept value is planned to take, for bits and bytes. Below 32 a file is measured
            as if its kept values lay on as many equal steps already (`Uniform(bits=value_bits, zero=False)`): a
            stage that quantizes them has to follow.
        per_weight: multiply-accumulates of one weight of each site, as `macs_per_weight` counts them; for macs.
    """

    weights: int | None = None
    rate: float | None = None
    bits: float | None = None
    bytes: int | None = None
    macs: float | None = None
    value_bits: int = PLAIN_BITS
    per_weight: Mapping[str, int] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        given = [unit for unit in UNITS if getattr(self, unit) is not None]
        if len(given) != 1:
            raise PlanError(f"a budget needs exactly one of {', '.join(UNITS)}: {self!r}; write Budget(rate=30)")
        if self.rate is not None and not self.rate >= 1:
            raise PlanError(f"a rate of {self.rate} would keep more weights than there are: give 1 or more")
        if not getattr(self, given[0]) >= 1:
            raise PlanError(f"a budget of {getattr(self, given[0])} {given[0]} keeps nothing: give at least 1")
        if self.value_bits != PLAIN_BITS and not (self.bits or self.bytes):
            raise PlanError(f"value_bits says nothing about {given[0]}: leave it out of {self!r}")
        if self.value_bits != PLAIN_BITS and not 1 <= self.value_bits <= 8:
            raise PlanError(f"value_bits is {self.value_bits}: give 1 to 8 for levels, or 32 for plain values")
        if self.per_weight is not None and self.macs is None:
            raise PlanError(f"per_weight says what weights cost in macs: leave it out of {self!r}")

    def count(self, total: int) -> int:
        """How many of `total` weights a budget of weights or a rate keeps."""
        count = self.weights if self.weights is not None else int(total / (self.rate or 1.0) + 1e-9)
        if not 1 <= count <= total:
            raise PlanError(f"{self!r} asks for {count} of {total} weights: choose between 1 and {total}")
        return count

    def check(self, sizes: Mapping[str, int]) -> None:
        """Nothing, where sites of these sizes can be kept alive; a file is judged when it can be measured.

        Raises:
            PlanError: the budget is too small, or does not know what a site costs.
        """
        if self.bytes is not None:
            return
        if self.bits is not None:
            check_bits(sizes, self.bits, self.value_bits)
        elif self.macs is not None:
            prices = self._prices(sizes)
            if (least := sum(prices.values())) > self.macs:
                raise PlanError(
                    f"a budget of {self.macs:.10g} macs cannot keep one weight in each of {len(sizes)} sites: "
                    f"raise it by {least - self.macs:.10g} to at least {least}, or leave sites out"
                )
        elif (count := self.count(sum(sizes.values()))) < len(sizes):
            raise PlanError(
                f"{self!r} keeps {count} weights, fewer than there are sites: "
                f"raise it to at least {len(sizes)} weights, or leave sites out"
            )

    def share(self, sites: Mapping[str, Evidence], rule: Allocation) -> dict[str, int]:
        """The number of weights of each site, by a rule; not for bytes, which have to be measured.

        Raises:
            PlanError: the budget is too small, or the rule does not keep to it.
        """
        assert self.bytes is None
        if self.bits is not None:
            return share_bits(sites, rule, self.bits, self.value_bits)
        if self.macs is not None:
            prices = self._prices(sites)
            priced = {name: replace(e, price=float(prices[name])) for name, e in sites.items()}
            return ask(rule, priced, self.macs, "macs")
        return ask(rule, sites, self.count(sum(e.size for e in sites.values())), "weights")

    def _prices(self, names: Mapping[str, object]) -> dict[str, int]:
        if self.per_weight is None:
            raise PlanError(
                f"{self!r} does not know what a weight costs: "
                f"write Budget(macs=..., per_weight=tighten.macs_per_weight(model, example))"
            )
        unknown = [name for name in names if self.per_weight.get(name, 0) < 1]
        if unknown:
            raise PlanError(
                f"'{unknown[0]}' is no weight of a convolution or linear layer that the example passes through, so "
                f"it has no price in macs: leave it out of the open sets, or budget weights or bytes"
            )
        return {name: self.per_weight[name] for name in names}
