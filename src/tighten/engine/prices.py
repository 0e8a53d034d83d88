"""What weights cost, told to the budgets of a plan that count multiply-accumulates."""

from __future__ import annotations

from dataclasses import replace

from tighten.engine.trainer import Trainer
from tighten.macs import macs_per_weight
from tighten.plan import Plan


def priced(plan: Plan, trainer: Trainer) -> Plan:
    """The plan with the multiply-accumulates of the trainer's network, where budgets ask for them.

    Args:
        plan: any plan.
        trainer: its first training example passes through the network once.
    """
    if not any(stage.budget is not None and stage.budget.macs is not None for stage in plan):
        return plan
    example = trainer.data.train.first().to(trainer.device)
    per_weight = macs_per_weight(trainer.model, example)
    return Plan(
        [
            replace(stage, budget=replace(stage.budget, per_weight=per_weight))
            if stage.budget is not None and stage.budget.macs is not None
            else stage
            for stage in plan
        ]
    )
