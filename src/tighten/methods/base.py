"""What every method is: a way to draw weights into their sets, with its state as plain data."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from torch import Tensor

from tighten.codes import Code, Sparse, expand
from tighten.errors import SetError
from tighten.methods.hold import Hold
from tighten.methods.support import Support
from tighten.schedules import Clock
from tighten.sets import Set
from tighten.sets.part import Part


@dataclass(frozen=True)
class Problem:
    """What a method works on during one stage.

    Args:
        weights: gives the current tensors of the stage's sites.
        sets: the set of each site; some may be open (their count is shared out from a budget).
        settle: fills open sets by the stage's budget, judging the tensors and squared gradients it is given.
        clock: the stage's steps.
        gradients: gives their current gradients, of those that have one.
        parts: which parts of the sites are here, of those that processes share. All tensors are these parts.
        learning_rates: gives those of the sites in this step, once an optimizer is attached.
    """

    weights: Callable[[], dict[str, Tensor]]
    sets: Mapping[str, Set]
    settle: Callable[[Mapping[str, Tensor], Mapping[str, float]], dict[str, Set]]
    clock: Clock
    gradients: Callable[[], dict[str, Tensor]]
    parts: Mapping[str, Part] = field(default_factory=dict)
    learning_rates: Callable[[], dict[str, float]] = dict

    def fit(self, tensors: Mapping[str, Tensor], squared_gradients: Mapping[str, float]) -> dict[str, Code]:
        """The projection of each tensor on its set, budgets shared out by what is known of the sites."""
        return self.fit_all(self.settle(tensors, squared_gradients), tensors)

    def fit_all(self, sets: Mapping[str, Set], tensors: Mapping[str, Tensor]) -> dict[str, Code]:
        """The projection of each tensor on the set given for it."""
        return {name: self._fit(name, s, tensors[name]) for name, s in sets.items()}

    def _fit(self, name: str, s: Set, x: Tensor) -> Code:
        if name not in self.parts:
            return s.fit(x)
        try:
            return s.fit(x, self.parts[name])
        except SetError as error:
            raise SetError(f"'{name}': {error}") from error


@dataclass
class State:
    """Where a method stands; everything that a checkpoint must hold.

    Args:
        step: optimizer steps taken in this stage.
        rho: weight of the pull.
        codes: per site, the point Z of the set that the weights are drawn to, where it is not in `supports`.
        supports: per site that ADMM prunes, where Z is not zero.
        targets: per site, V = Z - U: the pull is rho * (W - V).
        fixed: per site, a bool tensor of the entries that already lie on their level for good.
        squared_gradients: per site, the running mean square of the loss gradient over its kept entries.
        primal: per site, |W - Z| / |W| at the last update.
        dual: per site, |Z - Z before| / |Z| at the last update.
        gradient_sums, gradient_squares: per site, sums of the gradients since the last update, and of their squares.
        listened: over how many steps.
        latents: per site, V, of which the weights are the nearest levels.
        scale_gradients: per site, `[runs]`, of the loss by the logarithms of its scales, in this step.
        usual: per site on two levels, the sign that most weights of each row have in this step.
        scale_moments: per site, `[2, runs]`, running means of the gradients of its scales and of their squares.
    """

    step: int = 0
    rho: float = 0.0
    codes: dict[str, Code] = field(default_factory=dict)
    supports: dict[str, Support] = field(default_factory=dict)
    targets: dict[str, Tensor] = field(default_factory=dict)
    fixed: dict[str, Tensor] = field(default_factory=dict)
    squared_gradients: dict[str, float] = field(default_factory=dict)
    primal: dict[str, float] = field(default_factory=dict)
    dual: dict[str, float] = field(default_factory=dict)
    gradient_sums: dict[str, Tensor] = field(default_factory=dict)
    gradient_squares: dict[str, Tensor] = field(default_factory=dict)
    listened: int = 0
    latents: dict[str, Tensor] = field(default_factory=dict)
    scale_gradients: dict[str, Tensor] = field(default_factory=dict)
    usual: dict[str, Tensor] = field(default_factory=dict)
    scale_moments: dict[str, Tensor] = field(default_factory=dict)

    def point(self, name: str) -> Code:
        """The point Z of a site."""
        support = self.supports.get(name)
        return self.codes[name] if support is None else support.code(self.targets[name])

    def masks(self) -> dict[str, Tensor]:
        """Where Z is not zero, of all sites that are pruned."""
        masks = {name: expand(support.grid, support.unit) for name, support in self.supports.items()}
        return masks | {name: code.support for name, code in self.codes.items() if isinstance(code, Sparse)}


class Method(ABC):
    """How W is drawn to its set. Subclasses are frozen dataclasses of settings."""

    @property
    def commits(self) -> bool:
        """Whether the weights lie in their sets when the stage ends."""
        return True

    @property
    def minds_zeros(self) -> bool:
        """Whether it sees to entries pruned before: it lets them come back, or keeps them zero itself."""
        return False

    @property
    def settles(self) -> bool:
        """Whether the sets' points are chosen when the stage starts, so that sizes are known by then."""
        return False

    def converged(self, state: State) -> bool:
        """Whether the work is done before the stage's epochs are."""
        return False

    def check(self, problem: Problem) -> None:
        """Nothing, where the method can work on this problem.

        Raises:
            PlanError: it cannot.
        """
        return

    @abstractmethod
    def start(self, problem: Problem) -> State:
        """The state before the first step."""

    def before_step(self, problem: Problem, state: State) -> None:
        """The method's work between the backward pass and the optimizer step."""
        return

    def undo_step(self, problem: Problem, state: State) -> None:
        """What `before_step` did to the weights, undone: the optimizer skipped the step."""
        return

    def after_step(self, problem: Problem, state: State) -> bool:
        """The method's work after an optimizer step, which `state.step` already counts: did the state change?"""
        return False

    def holds(self, state: State) -> dict[str, Hold]:
        """What is held of the stage's own sites after each step."""
        return {}

    @abstractmethod
    def finish(self, problem: Problem, state: State) -> dict[str, Code]:
        """The points of the sets that the weights are put on when the stage ends."""

    @abstractmethod
    def learning_rate_factor(self, step: int, clock: Clock) -> float:
        """The factor on the base learning rate that suits this method at this step."""
