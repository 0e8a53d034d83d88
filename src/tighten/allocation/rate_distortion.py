"""Counts and bits together: the least estimated loss for a total of bits."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from tighten.allocation.distortion import distortion
from tighten.allocation.evidence import Evidence
from tighten.allocation.floors import FLOOR
from tighten.allocation.share import log2_choose
from tighten.allocation.shares import Shares
from tighten.errors import PlanError

CHOICES = (2, 3, 4, 5, 6, 8)
SOLVED = 32
"""Up to this count the error of quantization is found for each; above, for counts that grow by `GROWTH`."""
GROWTH = 1.05
EVERY = 1000
"""Up to this count each is a candidate; above, counts that grow by one part in `EVERY`."""
HALVINGS = 60
TINIEST = 1e-9


def rate_distortion(sites: Mapping[str, Evidence], bits: float, choices: Sequence[int] = CHOICES) -> Shares:
    """The count of kept weights and the bits per value of each site with the least loss for a total of bits.

    Definition: keeping the k largest of n weights in b bits each costs R = log2(n choose k) + b k bits, positions being
    scattered evenly, and raises the training loss by about L = F/2 (sum of the squares of the others + squared error of
    the kept ones on the levels of `Uniform(b, zero=False)`), F being the mean squared gradient of the site. The
    rule minimises the sum of L for a sum of R of at most `bits`.

    For a given price p of a bit each site is alone: it takes the k and b with the least L + p R, where the last bit
    spent buys as much loss in every site. The price is found by bisection. What a price spends, it spends best: no
    other choice has less loss for as many bits. What it leaves of the budget, less than one site's step between two
    prices, is then spent greedily, on the change of one site that lowers the loss most.

    Every site keeps at least what a tenth of an equal share of the bits buys at the fewest bits per value, and one.

    Cost: a sort of each tensor and some thousand searches in it; seconds for a million weights.
    Source: LeCun et al., "Optimal Brain Damage" (1989), for L; Shoham and Gersho, "Efficient bit allocation for an
    arbitrary set of quantizers" (1988), for the price.

    Args:
        sites: what is known of each site; all need a squared gradient.
        bits: for positions and values of all sites together.
        choices: bits per value to choose from, 1 to 8; one of them fixes it.

    Raises:
        PlanError: too few bits for one weight in each site, or a site of which no gradient is known.
    """
    return Tradeoff(sites, choices).at(bits)


class Tradeoff:
    """Loss against bits for every site, from which `rate_distortion` reads the shares of any budget.

    Args:
        sites, choices: as for `rate_distortion`.
    """

    def __init__(self, sites: Mapping[str, Evidence], choices: Sequence[int] = CHOICES) -> None:
        options = sorted(set(choices))
        if not options or not sites:
            raise PlanError(f"{len(sites)} sites cannot be shared among at {list(choices)} bits per value")
        self._sites = sites
        self._curves = {name: _Curve.of(name, e, options).judged(name, e) for name, e in sites.items()}

    def judged(self, sites: Mapping[str, Evidence]) -> Tradeoff:
        """The same for other squared gradients of the same values, at next to no cost."""
        other = copy.copy(self)
        other._sites = sites
        other._curves = {name: curve.judged(name, sites[name]) for name, curve in self._curves.items()}
        return other

    def least(self) -> Shares:
        """One weight in each site, at the fewest bits."""
        return self._shares(dict.fromkeys(self._curves, 0))

    def at(self, bits: float) -> Shares:
        """The shares for a total of bits."""
        least = sum(share.coded_bits for share in self.least().values())
        if not least - 1e-6 <= bits < math.inf:
            raise PlanError(
                f"a budget of {bits:,.0f} bits cannot keep one weight in each of {len(self._curves)} sites: "
                f"give a number of at least {math.ceil(least - 1e-6)}, or leave sites out"
            )
        curves = _above_floors(self._curves, bits)
        places = _fill(curves, _priced(curves, bits), bits)
        return self._shares(places, curves)

    def _shares(self, places: Mapping[str, int], curves: Mapping[str, _Curve] | None = None) -> Shares:
        found = {name: (curves or self._curves)[name].at(place) for name, place in places.items()}
        return Shares.of({n: k for n, (k, _) in found.items()}, self._sites, {n: b for n, (_, b) in found.items()})


@dataclass(frozen=True, eq=False)
class _Curve:
    """Loss and bits of one site for each choice (axis 0) and count (axis 1); a place is an index of both.

    At the fewest bits per value the smallest entries may be better dropped than kept: `enough` is the index of the
    count from which on that is so.
    """

    options: Sequence[int]
    counts: Tensor
    errors: Tensor
    loss: Tensor
    bits: Tensor
    enough: int

    @classmethod
    def of(cls, name: str, site: Evidence, options: Sequence[int]) -> _Curve:
        sizes = site.values.detach().flatten().double().abs().sort(descending=True).values.cpu()
        if not 0 < float(sizes[0]) < math.inf:
            raise PlanError(f"the largest entry of '{name}' is {float(sizes[0])}: leave the site out")
        sizes = sizes[: site.room]
        counts, solved = _spread(len(sizes), EVERY, 1 + 1 / EVERY), _spread(len(sizes), SOLVED, GROWTH)
        positions = torch.tensor([log2_choose(site.values.numel(), k) for k in counts.tolist()], dtype=torch.float64)
        bits = torch.stack([positions + b * counts for b in options])
        squares = sizes.square().cumsum(0)
        dropped = squares[-1] - squares[counts - 1]
        kept = [_between(solved, distortion(sizes, solved, b), counts) for b in options]
        errors = torch.stack([dropped + error for error in kept])
        return cls(options, counts, errors, errors, bits, int(errors[0].argmin()))

    def judged(self, name: str, site: Evidence) -> _Curve:
        """The same with the losses that the squared gradient of a site makes of its errors."""
        factor = site.squared_gradient
        if factor is None or not 0 <= factor < math.inf:
            raise PlanError(
                f"the squared gradient of '{name}' is {factor}: gather it with tighten.evidence(model, ...) first"
            )
        return replace(self, loss=factor / 2 * self.errors)

    def above(self, budget: float) -> _Curve:
        """The part from the count on that so many bits buy at the fewest bits per value."""
        # With more kept the cost rises, up to where positions say less again.
        bought = int((self.bits[0] <= budget).long().cumprod(0).sum())
        first = min(max(0, bought - 1), self.enough)
        errors, loss, bits = (t[:, first:] for t in (self.errors, self.loss, self.bits))
        return _Curve(self.options, self.counts[first:], errors, loss, bits, self.enough - first)

    def best(self, price: float) -> int:
        """The place with the least loss and price together; of equal ones the first, which has fewer bits."""
        return int((self.loss + price * self.bits).argmin())

    def cheapest(self) -> int:
        """The place with the fewest bits."""
        return int(self.bits.argmin())

    def spends(self, place: int) -> float:
        """The bits of a place."""
        return float(self.bits.flatten()[place])

    def loses(self, place: int) -> float:
        """The loss of a place."""
        return float(self.loss.flatten()[place])

    def best_within(self, bits: float) -> int:
        """The place with the least loss for at most so many bits; there must be one."""
        return int(self.loss.where(self.bits <= bits, math.inf).argmin())

    def at(self, place: int) -> tuple[int, int]:
        """The count and the bits per value of a place."""
        choice, index = divmod(place, len(self.counts))
        return int(self.counts[index]), self.options[choice]


def _above_floors(curves: Mapping[str, _Curve], bits: float) -> dict[str, _Curve]:
    part = FLOOR
    while True:
        floored = {name: curve.above(part * bits / len(curves)) for name, curve in curves.items()}
        # Where single entries are dear, they and the floors of the others may come to more than there is.
        if part < TINIEST or _spent(floored, {name: c.cheapest() for name, c in floored.items()}) <= bits:
            return floored
        part /= 2


def _priced(curves: Mapping[str, _Curve], bits: float) -> dict[str, int]:
    """The place of each site at the lowest common price for which all fit."""
    fitting = {name: curve.cheapest() for name, curve in curves.items()}
    # From a price that buys all there is to one, all that can be lost for a millionth of a bit, that buys nothing.
    high = 1e6 * sum(float(curve.loss.max()) for curve in curves.values())
    low = 1e-30 * high
    price = low
    for _ in range(HALVINGS):
        places = {name: curve.best(price) for name, curve in curves.items()}
        if _spent(curves, places) <= bits:
            high, fitting = price, places
        else:
            low = price
        price = math.sqrt(low * high)
    return fitting


def _fill(curves: Mapping[str, _Curve], places: dict[str, int], bits: float) -> dict[str, int]:
    """The places, what is left of the bits spent on the change that lowers the loss most, again and again."""
    while True:
        left = bits - _spent(curves, places)
        better = {name: c.best_within(c.spends(places[name]) + left) for name, c in curves.items()}
        gains = {name: c.loses(places[name]) - c.loses(better[name]) for name, c in curves.items()}
        name = max(gains, key=gains.__getitem__)
        if gains[name] <= 0:
            return places
        places = {**places, name: better[name]}


def _spent(curves: Mapping[str, _Curve], places: Mapping[str, int]) -> float:
    return sum(curve.spends(places[name]) for name, curve in curves.items())


def _spread(n: int, each: int, growth: float) -> Tensor:
    """The whole numbers from 1 to n, from `each` on only some that grow by a factor."""
    counts = list(range(1, min(n, each) + 1))
    while counts[-1] < n:
        counts.append(min(n, max(counts[-1] + 1, int(counts[-1] * growth))))
    return torch.tensor(counts)


def _between(known: Tensor, values: Tensor, wanted: Tensor) -> Tensor:
    """Values at the wanted counts; the value of one entry is nearly a straight line in the count's logarithm."""
    each = np.interp(wanted.double().log().numpy(), known.double().log().numpy(), (values / known).numpy())
    return torch.from_numpy(each) * wanted
