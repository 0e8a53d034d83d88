"""Straight-through training: the network computes with levels, its latent weights and their scales learn."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from tighten.codes import Code, Indexed, Sparse, refit, snap
from tighten.errors import PlanError
from tighten.methods.base import Method, Problem, State
from tighten.methods.latent import put
from tighten.methods.lean import leant, usual_signs
from tighten.schedules import Clock, cosine
from tighten.sets import Intersection, LevelSet, Set
from tighten.sets.part import total

MEMORY = (0.9, 0.999)
"""Of the averages of the scales' gradients and of their squares, as in Adam."""


@dataclass(frozen=True)
class StraightThrough(Method):
    """Training on the sets themselves: the gradient at the nearest point of the set moves latent weights.

    Update, at each optimizer step:
        V <- V - step(gradient of f at W),  q <- q (1 - step(sum of (gradient of f at W) * dW/dq)),  W <- q P(V / q)
    So the weights lie in their sets after every step, and every loss and accuracy on the way is that of the
    compressed network. The scale q starts as that of the projection, which is nearest to the weights, and learns to be
    best for the loss: with few levels that is worth more than the rounding. Sets whose scale may not be any number,
    such as `PowerOfTwo` and `Codebook`, have their tables fitted anew `updates_per_epoch` times instead. Supports stay
    those of the start; zeros among the levels come and go.

    The more weights share a level, the shorter the file: with `lean`, V moves a little at each step towards zero where
    that is a level, of two levels towards the one that most weights of the row have; weights that the loss does not
    mind go there.

    One buffer of the size of the sites holds V; of pruned sites, eight bytes for each kept entry say where it is.

    Source: Bengio et al., arXiv 1308.3432 (the gradient passes straight through); Courbariaux et al., arXiv 1511.00363
    (latent weights); Esser et al., arXiv 1902.08153 (the gradient of a scale); Marban et al., arXiv 2004.01077 (what is
    long to write has a price, there when weights are assigned to their levels).

    Args:
        scale_rate: the part of itself by which a scale moves in a step, at first.
        lean: how far latent weights lean at each step, in parts of the learning rate; about 0.01, or 0.
        updates_per_epoch: how often other tables are fitted in each epoch.
        learning_rate_end: the part of the learning rates that is left at the end of their cosine.
    """

    scale_rate: float = 5e-3
    lean: float = 0.0
    updates_per_epoch: int = 8
    learning_rate_end: float = 0.0

    def __post_init__(self) -> None:
        if self.updates_per_epoch < 1:
            raise PlanError(f"tables cannot be fitted {self.updates_per_epoch} times in an epoch: give at least 1")
        if not 0 <= self.scale_rate < 1:
            raise PlanError(f"scale_rate={self.scale_rate} is not a part of a scale: give about 5e-3, or 0")
        if not 0 <= self.lean < math.inf:
            raise PlanError(f"lean={self.lean} is no part of the learning rate: give about 0.01, or 0")

    @property
    def minds_zeros(self) -> bool:
        return True

    @property
    def settles(self) -> bool:
        return True

    def check(self, problem: Problem) -> None:
        for name, constraint in problem.sets.items():
            if not isinstance(constraint, LevelSet | Intersection):
                raise PlanError(f"'{name}' is to be in {constraint!r}, which has no levels: use Masked or Exchange")
            if constraint.is_open:
                raise PlanError(f"the count of {constraint!r} for '{name}' is open: give it or prune in a stage before")
            if name in problem.parts and _levels(constraint).per_channel:
                raise PlanError(f"processes share '{name}', so its scales per channel cannot learn: use Freeze or DDP")

    def start(self, problem: Problem) -> State:
        weights = {name: w.detach() for name, w in problem.weights().items()}
        codes = {name: _fit(problem, name, w) for name, w in weights.items()}
        state = State(
            codes=codes, latents={n: _whole(_kept(w, codes[n]).clone(), codes[n]) for n, w in weights.items()}
        )
        self.undo_step(problem, state)
        return state

    @torch.no_grad()
    def before_step(self, problem: Problem, state: State) -> None:
        weights, state.scale_gradients, state.usual = problem.weights(), {}, {}
        for name, code in state.codes.items() if self.lean else ():
            usual = usual_signs(_kept(weights[name], code), _indexed(code), problem.parts.get(name))
            if usual is not None:
                state.usual[name] = usual
        for name, gradient in problem.gradients().items():
            if _levels(problem.sets[name]).scalable:
                turn = _scale_gradient(state.codes[name], weights[name], state.latents[name], gradient)
                state.scale_gradients[name] = total(problem.parts.get(name), turn)
        put(weights, state.latents)

    @torch.no_grad()
    def after_step(self, problem: Problem, state: State) -> bool:
        updates = self.updates_per_epoch * problem.clock.epochs
        due = problem.clock.parts_done(state.step, updates) > problem.clock.parts_done(state.step - 1, updates)
        growths = self._growths(state, problem.clock)
        rates = problem.learning_rates() if self.lean else {}
        for name, w in problem.weights().items():
            code = state.codes[name]
            # New tensors: a checkpoint that was taken before keeps what it has.
            far = self.lean * rates.get(name, 0.0)
            values = leant(_kept(w, code), _indexed(code), far, state.usual.get(name))
            state.latents[name] = _whole(values, code)
            if name in growths:
                state.codes[name] = _rescaled(code, growths[name])
            elif due and not _levels(problem.sets[name]).scalable:
                state.codes[name] = _fit(problem, name, state.latents[name], code)
        self.undo_step(problem, state)
        return False

    @torch.no_grad()
    def undo_step(self, problem: Problem, state: State) -> None:
        weights = problem.weights()
        for name, code in state.codes.items():
            snap(code, state.latents[name], out=weights[name])

    def finish(self, problem: Problem, state: State) -> dict[str, Code]:
        return {name: refit(code, state.latents[name]) for name, code in state.codes.items()}

    def learning_rate_factor(self, step: int, clock: Clock) -> float:
        return cosine(step / max(1, clock.steps), self.learning_rate_end)

    def _growths(self, state: State, clock: Clock) -> dict[str, Tensor]:
        """Per site, `[runs]`: by which factor each scale changes, in a step of Adam; found for all at once."""
        if not (turns := state.scale_gradients):
            return {}
        device = next(iter(turns.values())).device
        known = [state.scale_moments.get(name, turn.new_zeros(2, len(turn))).to(device) for name, turn in turns.items()]
        turn, before = torch.cat([turn.to(device) for turn in turns.values()]), torch.cat(known, dim=1)
        memory = turn.new_tensor(MEMORY).view(2, 1)
        moments = memory * before + (1 - memory) * torch.stack([turn, turn.square()])
        mean, square = moments / (1 - memory**state.step)
        rate = self.scale_rate * self.learning_rate_factor(state.step - 1, clock)
        growth = 1 - rate * mean / (square.sqrt() + 1e-12)
        runs = [len(turn) for turn in turns.values()]
        state.scale_moments.update(zip(turns, moments.split(runs, dim=1), strict=True))
        return dict(zip(turns, growth.split(runs), strict=True))


def _rescaled(code: Code, growth: Tensor) -> Code:
    inner = _indexed(code)
    moved = replace(inner, scale=inner.scale * growth.to(inner.scale))
    return replace(code, inner=moved) if isinstance(code, Sparse) else moved


def _scale_gradient(code: Code, weight: Tensor, latent: Tensor, gradient: Tensor) -> Tensor:
    """The gradient of the loss by the logarithm of each scale: `[runs]`, float64.

    Within the levels W = q P(V / q) grows with q by P(V / q) - V / q, beyond them by the last level. Of the levels
    -q and q only the sign of V chooses, so W grows by W / q everywhere.

    Args:
        code: the levels and the support; only its steps and scales matter.
        weight: W, zero outside a support; it is used up: room for as many numbers costs time.
        latent: V, likewise.
        gradient: of the loss, at W.
    """
    table = _indexed(code)
    runs, tensors = len(table.scale), (weight, latent, gradient)
    if isinstance(code, Sparse) and runs == 1:
        tensors = (weight.take(code.places), latent.take(code.places), gradient.take(code.places))
    w, v, g = (t.reshape(runs, -1) for t in tensors)
    if len(table.steps) == 2 and not table.steps.sum():
        return _dots(w, g).double()
    last = (table.steps.abs().max() * table.scale).view(runs, 1).clamp_min(torch.finfo(latent.dtype).tiny)
    by_levels = _dots(w, g)
    # What the clamp has put at 1 or -1 has no fraction.
    within = F.hardtanh_(torch.div(v, last, out=w)).frac_()
    return (by_levels - last.view(runs) * _dots(within, g)).double()


def _dots(a: Tensor, b: Tensor) -> Tensor:
    """The products of the rows of two matrices."""
    return torch.dot(a[0], b[0]).view(1) if len(a) == 1 else torch.linalg.vecdot(a, b)


def _indexed(code: Code) -> Indexed:
    inner = code.inner if isinstance(code, Sparse) else code
    assert isinstance(inner, Indexed)
    return inner


def _levels(constraint: Set) -> LevelSet:
    levels = constraint.levels if isinstance(constraint, Intersection) else constraint
    assert isinstance(levels, LevelSet)
    return levels


def _fit(problem: Problem, name: str, x: Tensor, before: Code | None = None) -> Code:
    """The point of a set that is nearest to `x`; of those with the support of `before`, where it has one."""
    constraint, part = problem.sets[name], problem.parts.get(name)
    if not isinstance(constraint, Intersection):
        return constraint.fit(x, part)
    support = before if isinstance(before, Sparse) else constraint.support.fit(x, part)
    return constraint.fit_on(support, x, part)


def _kept(x: Tensor, code: Code) -> Tensor:
    """The entries of a tensor; where the code is sparse, `[kept]`, those that it keeps."""
    return x.take(code.places) if isinstance(code, Sparse) else x


def _whole(values: Tensor, code: Code) -> Tensor:
    """The tensor of which these are the kept entries."""
    return values.new_zeros(code.shape).put_(code.places, values) if isinstance(code, Sparse) else values
