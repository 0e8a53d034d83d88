"""The form of a recipe: what a TOML file may say."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from tighten import allocation, methods
from tighten.allocation import Budget, Shares
from tighten.errors import RecipeError
from tighten.imports import load_named
from tighten.plan import Plan, Stage
from tighten.recipes.shares import with_shares
from tighten.recipes.shrink import ShrinkTable
from tighten.recipes.training import Recover, Strict, Training
from tighten.sets import Set, from_data
from tighten.sites import Selector
from tighten.suggest import nearest

METHODS = (methods.Admm, methods.Exchange, methods.Feedback, methods.Freeze, methods.Masked, methods.StraightThrough)


class Dense(Training):
    """Where the network to compress comes from: a file of trained weights, or training from nothing.

    A table that says neither leaves it to whoever runs the recipe to give a file.

    Args:
        weights: the file, seen from the working folder; see `tighten.engine.pretrained`.
    """

    epochs: int = Field(default=0, ge=1)
    learning_rate: float = Field(default=0.0, gt=0)
    weights: str | None = None

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        said = {key for key in ("epochs", "learning_rate") if key in self.model_fields_set}
        if self.weights is not None and said:
            raise PydanticCustomError("dense", "trained weights need no epochs and no learning_rate: remove them")
        if len(said) == 1:
            missing = "learning_rate" if "epochs" in said else "epochs"
            raise PydanticCustomError("dense", "training needs epochs and learning_rate: add " + missing)
        return self


class BudgetTable(Strict):
    """A budget for all open sites: one of the five units, see `Budget`.

    Args:
        value_bits: bits that a kept value is planned to take, beside bits or bytes.
    """

    weights: int | None = None
    rate: float | None = None
    bits: float | None = None
    bytes: int | None = None
    macs: float | None = None
    value_bits: int = 32


class StageTable(Training):
    """One stage: sets by site, a method by name, and its training.

    Args:
        average: part of the stage's steps, from the end, whose weights are averaged into its result.
        shares: a file of shares in place of a budget, seen from the working folder; see `tighten.recipes.shares`.
    """

    name: str = ""
    average: float = Field(default=0.0, ge=0, le=1)
    sets: dict[str, dict[str, Any] | list[dict[str, Any]]] = Field(default_factory=dict)
    method: dict[str, Any]
    budget: BudgetTable | None = None
    shares: str | None = None
    allocate: Literal["erk", "fisher", "lamp", "magnitude", "uniform"] = "fisher"

    def stage(self) -> Stage:
        """The stage that this table describes."""
        return Stage(
            sets=self._sets(),
            method=_method(self.method),
            epochs=self.epochs,
            budget=None if self.budget is None else Budget(**self.budget.model_dump()),
            allocate=getattr(allocation, self.allocate),
            name=self.name,
        )

    def _sets(self) -> dict[Selector, Set]:
        sets: dict[Selector, Set] = {_selector(site): from_data(data) for site, data in self.sets.items()}
        if self.shares is None:
            return sets
        if self.budget is not None:
            raise RecipeError(f"stage '{self.name}' has a budget and shares = '{self.shares}': give one of the two")
        return with_shares(sets, Shares.load(self.shares))


class Recipe(Strict):
    """A whole run: model, data, dense training and stages."""

    name: str
    summary: str = ""
    model: str
    data: str
    data_settings: dict[str, Any] = Field(default_factory=dict)
    validation: int = Field(5000, ge=1)
    seed: int = 0
    batch_size: int = Field(128, ge=1)
    optimizer: str = "torch.optim:Adam"
    optimizer_settings: dict[str, Any] = Field(default_factory=dict)
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    augment: list[dict[str, Any]] = Field(default_factory=list)
    fold: bool = True
    dense: Dense = Dense()
    stages: list[StageTable] = Field(default_factory=list)
    shrink: ShrinkTable = ShrinkTable()
    recover: Recover = Recover()

    def plan(self) -> Plan:
        """The plan that the stages make.

        Raises:
            RecipeError: there are none.
        """
        if not self.stages:
            raise RecipeError(f"the recipe '{self.name}' has no [[stages]]: add one, or use `tighten shrink`")
        return Plan([table.stage() for table in self.stages])

    def starting_from(self, weights: str) -> Recipe:
        """The same recipe with the network of a file in place of its dense training."""
        return self.model_copy(update={"dense": Dense(weights=weights)})

    def with_effort(self, effort: float) -> Recipe:
        """The same recipe with all its epochs times a factor, none below one.

        Raises:
            RecipeError: the factor is not positive.
        """
        if not effort > 0:
            raise RecipeError(f"an effort of {effort} trains nothing: give a factor on all epochs, such as 0.1")
        if effort == 1:
            return self
        dense = self.dense
        if dense.epochs:
            dense = dense.model_copy(update={"epochs": max(1, round(dense.epochs * effort))})
        stages = [s.model_copy(update={"epochs": max(1, round(s.epochs * effort))}) for s in self.stages]
        return self.model_copy(update={"dense": dense, "stages": stages})

    def facts(self) -> dict[str, Any]:
        """What a `.tight` file says of its model and data, so that its accuracy can be found again."""
        settings = {"data_settings": self.data_settings} if self.data_settings else {}
        return {"model": self.model, "data": self.data, **settings}


def _selector(site: str) -> Selector:
    """A name or pattern as it is, or the function at an import path."""
    if ":" not in site:
        return site
    found: Selector = load_named(site, "selector")
    return found


def _method(data: dict[str, Any]) -> methods.Method:
    settings = dict(data)
    name = settings.pop("name", None)
    choices = {m.__name__: m for m in METHODS}
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
