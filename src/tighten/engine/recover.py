"""Stages that failed, tried again from the last good checkpoint with a weaker pull."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from tighten.methods import Admm, State
from tighten.plan import Plan, Stage
from tighten.recipes import Recover, StageTable


@dataclass
class Recovery:
    """How often each stage of a run was rolled back, and what that makes of it.

    Args:
        rules: what the recipe allows.
        tries: of each stage, by its place in the plan; part of a checkpoint.
    """

    rules: Recover
    tries: dict[int, int] = field(default_factory=dict)

    def may_try(self, index: int, stage: Stage) -> bool:
        """Whether the stage may be tried again, differently."""
        changes = self.rules.learning_rate_factor < 1 or (isinstance(stage.method, Admm) and self.rules.rho_factor < 1)
        return changes and self.tries.get(index, 0) < self.rules.tries

    def plan(self, plan: Plan) -> Plan:
        """The plan as it is carried out."""
        return Plan([self._weakened(index, stage) for index, stage in enumerate(plan)])

    def table(self, index: int, table: StageTable) -> StageTable:
        """A stage's training as it is carried out."""
        factor = self.rules.learning_rate_factor ** self.tries.get(index, 0)
        return table.model_copy(update={"learning_rate": table.learning_rate * factor})

    def weaken(self, state: State, times: int) -> None:
        """The state of a stage that was already on its way, with the smaller rho.

        Update: rho <- rho * f, and U <- U / f, which leaves the multiplier rho * U as it is.
        """
        if not times:  # not even a rounding
            return
        factor = self.rules.rho_factor**times
        for name, v in state.targets.items():
            z = state.point(name).dense()
            state.targets[name] = z - (z - v) / factor
        state.rho *= factor

    def said(self) -> str:
        """What is different in the next try."""
        rules = self.rules
        parts = [("rho", rules.rho_factor), ("the learning rate", rules.learning_rate_factor)]
        return " and ".join(f"{name} times {factor:g}" for name, factor in parts if factor < 1)

    def _weakened(self, index: int, stage: Stage) -> Stage:
        factor = self.rules.rho_factor ** self.tries.get(index, 0)
        if factor == 1 or not isinstance(stage.method, Admm):
            return stage
        method = replace(stage.method, rho=stage.method.rho * factor, rho_end=stage.method.rho_end * factor)
        return replace(stage, method=method)
