"""A budget shared on a model that is not yet compressed, in whatever unit, by whatever rule."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn

from tighten.allocation import Allocation, Budget, Evidence, Shares
from tighten.allocation.budget import PLAIN_BITS
from tighten.allocation.measured import Meter, check_bytes
from tighten.allocation.rate_distortion import Tradeoff
from tighten.allocation.reach import Trial, reach
from tighten.artifact import Artifact
from tighten.sets import to_data

WINDOW = (0.98, 0.992, 1.0)
"""The least, the wanted and the most that a file may take of a budget of bytes."""
TRIES = 12

SizeOf = Callable[[Shares], int]
"""The bytes of a model's file if it were put on the sets of some shares."""


def file_size(model: nn.Module, facts: Mapping[str, Any]) -> SizeOf:
    """What the file of a model would take; the model is copied.

    Args:
        model: the network, not yet compressed.
        facts: what the file will say besides its sets.
    """
    weights = {name: w.detach().clone() for name, w in model.named_parameters()}
    model = copy.deepcopy(model)

    def size_of(shares: Shares) -> int:
        sets = shares.sets()
        codes = {name: s.fit(weights[name]) for name, s in sets.items()}
        with torch.no_grad():
            for name, code in codes.items():
                model.get_parameter(name).copy_(code.dense())
        promises = {name: to_data(s) for name, s in sets.items()}
        return len(Artifact.of(model.state_dict(), codes, {**facts, "sets": promises}).to_bytes())

    return size_of


class Sharing(ABC):
    """The shares of one budget for any evidence.

    Args:
        budget: what may be spent.
        size_of: measures a file, for budgets of bytes.
    """

    def __init__(self, budget: Budget, size_of: SizeOf) -> None:
        self.budget, self.size_of = budget, size_of
        self._rough_bits = budget.bits

    @abstractmethod
    def roughly(self, sites: Mapping[str, Evidence]) -> Shares:
        """The shares without a file for each try; a budget of bytes is met only nearly."""

    @abstractmethod
    def exactly(self, sites: Mapping[str, Evidence]) -> Shares:
        """The shares, those of bytes by files that were measured."""

    @abstractmethod
    def least(self, sites: Mapping[str, Evidence]) -> Shares:
        """The smallest shares: one weight in each site."""

    def bits(self, sites: Mapping[str, Evidence]) -> float:
        """The bits that come near to the budget, if a file costs what positions and values do, and the least of it.

        Raises:
            PlanError: the least is too much.
        """
        if self._rough_bits is None:
            least = self.least(sites)
            size, wanted = self.size_of(least), self.budget.bytes or 0
            check_bytes(size, wanted)
            self._rough_bits = coded_bits(least) + max(0.0, 8 * (WINDOW[1] * wanted - size))
        return self._rough_bits


class ByRule(Sharing):
    """Counts by a rule; the bits per value are those of the budget.

    Args:
        budget, size_of: as for `Sharing`.
        rule: the allocation rule.
    """

    def __init__(self, budget: Budget, size_of: SizeOf, rule: Allocation) -> None:
        super().__init__(budget, size_of)
        self.rule = rule

    def roughly(self, sites: Mapping[str, Evidence]) -> Shares:
        budget = self.budget
        if budget.bytes is not None:
            budget = Budget(bits=self.bits(sites), value_bits=budget.value_bits)
        return self._with_bits(budget.share(sites, self.rule), sites)

    def exactly(self, sites: Mapping[str, Evidence]) -> Shares:
        if self.budget.bytes is None:
            return self.roughly(sites)
        meter = Meter(lambda counts: self.size_of(self._with_bits(counts, sites)), self.budget.value_bits)
        return self._with_bits(meter.exact(sites, self.rule, self.budget.bytes, None, 0)[0], sites)

    def least(self, sites: Mapping[str, Evidence]) -> Shares:
        return self._with_bits(dict.fromkeys(sites, 1), sites)

    def _with_bits(self, counts: Mapping[str, int], sites: Mapping[str, Evidence]) -> Shares:
        bits = self.budget.value_bits
        return Shares.of(counts, sites, {} if bits == PLAIN_BITS else dict.fromkeys(sites, bits))


class ByTradeoff(Sharing):
    """Counts and bits per value by `rate_distortion`, for one set of values and a budget of bits or bytes."""

    _tradeoff: Tradeoff | None = None

    def roughly(self, sites: Mapping[str, Evidence]) -> Shares:
        return self._of(sites).at(self.bits(sites))

    def exactly(self, sites: Mapping[str, Evidence]) -> Shares:
        if self.budget.bytes is None:
            return self.roughly(sites)
        tradeoff, least, tried = self._of(sites), self.least(sites), {}

        def trial(bits: float) -> Trial:
            tried[bits] = tradeoff.at(bits)
            return Trial(bits, {}, self.size_of(tried[bits]))

        smallest = Trial(coded_bits(least), {}, self.size_of(least))
        tried[smallest.spend] = least
        low, aim, high = (part * self.budget.bytes for part in WINDOW)
        return tried[reach(trial, smallest, self.bits(sites), (low, aim, high), TRIES).spend]

    def least(self, sites: Mapping[str, Evidence]) -> Shares:
        return self._of(sites).least()

    def _of(self, sites: Mapping[str, Evidence]) -> Tradeoff:
        self._tradeoff = Tradeoff(sites) if self._tradeoff is None else self._tradeoff.judged(sites)
        return self._tradeoff


def coded_bits(shares: Shares) -> float:
    """What positions and values of all sites take, where positions are scattered evenly."""
    return sum(share.coded_bits for share in shares.values())
