"""Stages and plans: what is constrained when, by which method, for how long."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields

from tighten.allocation import Allocation, Budget, fisher
from tighten.errors import PlanError
from tighten.methods import Method
from tighten.notebook import columns, table
from tighten.sets import Set
from tighten.sites import Selector


@dataclass(frozen=True)
class Stage:
    """One leg of a plan.

    Args:
        sets: the set of each site, by name, pattern or selector; of several that match the last one counts.
            Sites that earlier stages constrained stay as they are, whether named here or not; a set named
            here for such a site works inside its support. Empty: hold everything and train the rest.
        method: how the weights are drawn to the sets.
        epochs: passes over the training data.
        budget: kept weights for all sites whose `Sparse()` names no count, together; one in bytes may also stand
            where no set is open, and is then what the file must be within once its values are final.
        allocate: the rule that shares the budget among them.
        name: what the stage is called in reports.
    """

    sets: Mapping[Selector, Set]
    method: Method
    epochs: int
    budget: Budget | None = None
    allocate: Allocation = fisher
    name: str = ""

    def __post_init__(self) -> None:
        if self.epochs < 1:
            raise PlanError(f"a stage of {self.epochs} epochs does nothing: give at least 1")

    def __str__(self) -> str:
        return self.name or type(self.method).__name__.lower()


HEADER = ("stage", "method", "epochs", "sets", "budget")


@dataclass(frozen=True, repr=False)
class Plan(Sequence[Stage]):
    """The whole way, stage by stage.

    Raises:
        PlanError: no stage at all, or a last stage that leaves the weights outside their sets.
    """

    stages: tuple[Stage, ...]

    def __init__(self, stages: Sequence[Stage]) -> None:
        object.__setattr__(self, "stages", tuple(stages))
        if not self.stages:
            raise PlanError("a plan needs at least one stage")
        if not self.stages[-1].method.commits:
            raise PlanError(
                "the last stage leaves the weights outside their sets (commit=False): end with Freeze or Masked"
            )

    @property
    def epochs(self) -> int:
        """All epochs of the plan."""
        return sum(stage.epochs for stage in self.stages)

    def rows(self) -> list[tuple[str, ...]]:
        """A row for each stage: its name, method, epochs, sets and budget, in words."""
        return [
            (str(stage), type(stage.method).__name__, str(stage.epochs), _sets(stage), _budget(stage.budget))
            for stage in self
        ]

    def __repr__(self) -> str:
        return columns(HEADER, self.rows())

    def _repr_html_(self) -> str:
        return table(HEADER, self.rows())

    def __getitem__(self, index):  # type: ignore[no-untyped-def]
        return self.stages[index]

    def __len__(self) -> int:
        return len(self.stages)

    def __iter__(self) -> Iterator[Stage]:
        return iter(self.stages)

    def __add__(self, other: Plan) -> Plan:
        return Plan(self.stages + other.stages)


def _sets(stage: Stage) -> str:
    named = [f"{s if isinstance(s, str) else getattr(s, '__name__', repr(s))}: {c!r}" for s, c in stage.sets.items()]
    return "; ".join(named) or "hold what is constrained"


def _budget(budget: Budget | None) -> str:
    if budget is None:
        return ""
    given = {f.name: getattr(budget, f.name) for f in fields(budget)}
    return ", ".join(
        f"{name} {value:g}"
        for name, value in given.items()
        if value is not None and (name, value) != ("value_bits", 32)
    )
