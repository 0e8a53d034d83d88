"""Second-order evidence: how much the loss cares for each site, from passes over some batches."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice
from typing import Any

import torch
from torch import Tensor, nn

from tighten import sites as places
from tighten.allocation import Evidence, Shares
from tighten.errors import PlanError, TrainingError
from tighten.sets import Set, Sparse
from tighten.sites import Selector

Loss = Callable[[Any, Any], Tensor]
"""A function of a batch's outputs and targets: the mean loss over its examples."""
ROUNDS, PART = 12, 0.25
"""Of foresight, and the part of the way to the newest measurement that each round goes."""


def evidence(
    model: nn.Module,
    sites: Selector | Sequence[str],
    batches: Iterable[tuple[Any, Any]],
    loss: Loss,
    steps: int = 64,
) -> dict[str, Evidence]:
    """What a rule needs to know of each site of a trained network.

    Definition: the squared gradient of a site is the mean of g^2 over its kept entries (those that are not
    zero) and over the examples, the diagonal of the empirical Fisher information.

    Only the mean gradient m_i of each batch is computed, one backward pass for all its b_i examples. Squared and
    scaled by b_i it would be too large by (b_i - 1) times the square of the mean gradient, which vanishes only at
    a minimum. The spread of the m_i tells the two apart: v = sum b_i (m_i - m)^2 / (batches - 1) has the variance
    of a single example's gradient as its expectation, and v + (m^2 - v / N), with m the mean over all N examples,
    that of its square. So the estimate has no bias whatever the batch size, and for batches of one it is exact.

    The model computes as in `eval()`, so that no example hangs on another; its modes, gradients, buffers of batch
    norm and the random state are as before when the function returns.

    Cost: one forward and one backward pass for each batch; two buffers of the size of the sites.
    Source: LeCun et al., "Optimal Brain Damage" (1989), for the use; Theis et al., arXiv 1801.05787, for the Fisher
    information in its place.

    Args:
        model: the network, trained.
        sites: names, a pattern or a selector, such as `tighten.weights`.
        batches: pairs of inputs and targets, on the model's device; `len(targets)` is the number of examples.
        loss: the mean loss of a batch, such as `torch.nn.functional.cross_entropy`.
        steps: batches to look at, 2 or more.

    Raises:
        PlanError: sites that the model does not have or that are all zero, or fewer than two batches.
        TrainingError: a loss that is not finite, or a site that the loss does not depend on.
    """
    tensors = places.tensors(model, _names(model, sites))
    found = _squares(model, tensors, batches, loss, steps)
    for name, mean in found.items():
        if not mean > 0:
            raise _unloved(name)
    return {name: Evidence(tensor.detach(), found[name]) for name, tensor in tensors.items()}


def foreseen(
    model: nn.Module,
    sites: Selector | Sequence[str],
    batches: Iterable[tuple[Any, Any]],
    loss: Loss,
    share: Callable[[Mapping[str, Evidence]], Shares],
    steps: int = 16,
    rounds: int = ROUNDS,
) -> dict[str, Evidence]:
    """The evidence of a network as its shares will leave it, to find shares before any training.

    A dense network at its minimum says little about what it cannot do without: a large layer of which no single
    weight matters seems to be of no use at all. What a rule needs is how much the kept weights matter once
    the others are gone. That depends on the shares, so both are found in turn, as ADMM does while it trains: a copy of
    the network is put on the sets of the shares, the squared gradients of its kept entries are measured, and each
    site goes a part of the way to its measurement, in the logarithm. The first shares are those for which the
    loss of a whole site would cost the same everywhere.

    Cost: `rounds * steps` forward and backward passes, and a copy of the model.

    Args:
        model, sites, batches, loss: as for `evidence`; each round takes up `batches` anew.
        share: the shares for some evidence, such as `lambda e: Shares.of(fisher(e, 1000), e)`.
        steps: batches in each round.
        rounds: how often shares and evidence are found anew.

    Returns:
        The weights as they are now, with the squared gradients of the network to be.

    Raises:
        PlanError, TrainingError: as for `evidence`.
    """
    names = _names(model, sites)
    values = {name: tensor.detach() for name, tensor in places.tensors(model, names).items()}
    found = {name: Evidence(value, 1 / _energy(name, value)) for name, value in values.items()}
    trial = copy.deepcopy(model)
    tensors = places.tensors(trial, names)
    before: dict[str, Set] = {}
    for number in range(rounds):
        sets = share(found).sets()
        if sets == before:  # as with a rule that does not look at gradients
            break
        before = sets
        with torch.no_grad():
            for name, tensor in tensors.items():
                tensor.copy_(sets[name].project(values[name]))
        measured = _squares(trial, tensors, batches, loss, steps)
        # A site of a network that is cut through gets no gradient: nothing is learnt of it in this round.
        steps_to = {n: math.log(m / (found[n].squared_gradient or m)) for n, m in measured.items() if m > 0}
        if not steps_to:
            continue
        # The first values have the scale of no loss; rules ask for ratios alone.
        shift = sum(steps_to.values()) / len(steps_to) if number == 0 else 0.0
        for name in names:
            step = shift + PART * (steps_to.get(name, shift) - shift)
            found[name] = replace(found[name], squared_gradient=(found[name].squared_gradient or 0.0) * math.exp(step))
    return found


def _squares(
    model: nn.Module,
    tensors: Mapping[str, Tensor],
    batches: Iterable[tuple[Any, Any]],
    loss: Loss,
    steps: int,
) -> dict[str, float]:
    """Per site, the mean square of one example's gradient over the kept entries."""
    if steps < 2:
        raise PlanError(f"evidence from {steps} batches has no spread to judge by: give steps=2 or more")
    kept = {name: _kept(name, tensor.detach()) for name, tensor in tensors.items()}
    sums = _Sums(tensors)
    with _as_found(model):
        for inputs, targets in islice(batches, steps):
            value = loss(model(inputs), targets)
            if value.ndim or not bool(torch.isfinite(value)):
                what = f"{value.item()}" if value.ndim == 0 else f"a tensor of shape {tuple(value.shape)}"
                raise TrainingError(f"the loss of a batch is {what}: it must be the finite mean of its examples")
            sums.add(torch.autograd.grad(value, list(tensors.values()), allow_unused=True), len(targets))
    return {name: float(squares[kept[name]].double().mean()) for name, squares in sums.squares()}


class _Sums:
    """Sums over batches of b m and b m^2, for m the mean gradient of b examples."""

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        self.names = list(tensors)
        self.first = [torch.zeros_like(t) for t in tensors.values()]
        self.second = [torch.zeros_like(t) for t in tensors.values()]
        self.batches = self.examples = 0

    def add(self, gradients: Sequence[Tensor | None], examples: int) -> None:
        self.batches += 1
        self.examples += examples
        for name, gradient, first, second in zip(self.names, gradients, self.first, self.second, strict=True):
            if gradient is None:
                raise _unloved(name)
            first.add_(gradient, alpha=examples)
            second.addcmul_(gradient, gradient, value=examples)

    def squares(self) -> Iterator[tuple[str, Tensor]]:
        """Of each site the mean square of one example's gradient, entry by entry."""
        if self.batches < 2:
            raise PlanError(f"evidence needs two batches or more, and there were {self.batches}: use smaller ones")
        n = self.examples
        for name, first, second in zip(self.names, self.first, self.second, strict=True):
            mean_square = first.square() / n
            spread = ((second - mean_square) / (self.batches - 1)).clamp_min(0)
            yield name, spread * (1 - 1 / n) + mean_square / n


def _names(model: nn.Module, sites: Selector | Sequence[str]) -> list[str]:
    selectors: list[Selector] = [sites] if isinstance(sites, str) or callable(sites) else list(sites)
    # The set plays no part; the selection and its messages are those of a stage.
    return list(places.select(model, dict.fromkeys(selectors, Sparse())))


def _kept(name: str, values: Tensor) -> Tensor:
    kept = values != 0
    if not bool(kept.any()):
        raise PlanError(f"all entries of '{name}' are zero: leave the site out")
    return kept


def _energy(name: str, values: Tensor) -> float:
    _kept(name, values)
    return float(values.double().square().sum())


def _unloved(name: str) -> TrainingError:
    return TrainingError(
        f"'{name}' got no gradient: the loss does not depend on it; leave the site out, or look for a dead layer "
        f"or a detach() behind it"
    )


@contextmanager
def _as_found(model: nn.Module) -> Iterator[None]:
    """The model in evaluation, with gradients; modes and random state restored afterwards."""
    modes = {module: module.training for module in model.modules()}
    devices = sorted({p.device.index or 0 for p in model.parameters() if p.device.type == "cuda"})
    model.eval()
    try:
        with torch.random.fork_rng(devices=devices), torch.enable_grad():
            yield
    finally:
        for module, training in modes.items():
            module.training = training
