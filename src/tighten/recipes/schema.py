"""The form of a recipe: what a TOML file may say."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from tighten import allocation, methods
from tighten.allocation import Budget
from tighten.errors import RecipeError
from tighten.plan import Plan, Stage
from tighten.sets import from_data
from tighten.suggest import nearest


class Strict(BaseModel):
    """A table without room for unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Distill(Strict):
    """Learning from the dense network besides the labels.

    Source: Hinton et al., "Distilling the Knowledge in a Neural Network", arXiv 1503.02531.
    """

    temperature: float = Field(2.0, gt=0)
    weight: float = Field(0.7, ge=0, le=1)


class Training(Strict):
    """How a network is trained for some epochs."""

    epochs: int = Field(ge=1)
    learning_rate: float = Field(gt=0)
    augment: bool = True
    distill: Distill | None = None


class BudgetTable(Strict):
    """A budget for all open sites: one of the two."""

    weights: int | None = None
    rate: float | None = None


class StageTable(Training):
    """One stage: sets by site, a method by name, and its training."""

    name: str = ""
    sets: dict[str, dict[str, Any] | list[dict[str, Any]]] = Field(default_factory=dict)
    method: dict[str, Any]
    budget: BudgetTable | None = None
    allocate: Literal["fisher", "lamp", "magnitude", "uniform"] = "fisher"

    def stage(self) -> Stage:
        """The stage that this table describes."""
        return Stage(
            sets={site: from_data(data) for site, data in self.sets.items()},
            method=_method(self.method),
            epochs=self.epochs,
            budget=None if self.budget is None else Budget(**self.budget.model_dump()),
            allocate=getattr(allocation, self.allocate),
            name=self.name,
        )


class Recipe(Strict):
    """A whole run: model, data, dense training and stages."""

    name: str
    summary: str = ""
    model: str
    data: str
    validation: int = Field(5000, ge=1)
    seed: int = 0
    batch_size: int = Field(128, ge=1)
    optimizer: str = "torch.optim:Adam"
    precision: Literal["fp32", "bf16"] = "fp32"
    augment: list[dict[str, Any]] = Field(default_factory=list)
    dense: Training
    stages: list[StageTable] = Field(min_length=1)

    def plan(self) -> Plan:
        """The plan that the stages make."""
        return Plan([table.stage() for table in self.stages])


def _method(data: dict[str, Any]) -> methods.Method:
    settings = dict(data)
    name = settings.pop("name", None)
    choices = {m.__name__: m for m in (methods.Admm, methods.Freeze, methods.Masked)}
    if name not in choices:
        raise RecipeError(f"unknown method '{name}'{nearest(str(name), choices)}; give one of {', '.join(choices)}")
    kind = choices[name]
    for key in settings:
        if key not in kind.__dataclass_fields__:
            raise RecipeError(f"method {name} has no setting '{key}'{nearest(key, kind.__dataclass_fields__)}")
    try:
        made: methods.Method = kind(**settings)
    except TypeError as error:
        raise RecipeError(f"method {name} cannot be made from {settings}: {error}") from error
    return made
