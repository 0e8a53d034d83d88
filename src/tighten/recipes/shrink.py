"""How a network is shrunk step by step: the same few settings for every step and every layer."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from tighten.recipes.training import Distill, Strict
from tighten.sets import Set, Sparse, Uniform, to_data
from tighten.sites import Selector

EPOCHS_OF_A_CYCLE = 4
"""Of exchange; the rest, in which the support stays, counted in."""


class ShrinkTable(Strict):
    """The `[shrink]` table of a recipe; all of it may be left out.

    Args:
        factor: how much smaller a step makes the network where no size was asked for.
        part: of the way left to a size that was asked for, on a logarithmic scale, that a step goes.
        least_factor: the shortest step that is tried.
        epochs: of ADMM in each pruning step, at most.
        retrain: epochs of masked retraining after it.
        exchange: epochs of exchange that a step gets which fails the gate narrowly; 0: it gets none.
        polish: epochs of retraining at the end, on the smallest network that passed.
        quantize: epochs of straight-through training to levels.
        settle: epochs of it once the file is cut to the size that was asked for.
        learning_rate: of ADMM and of quantization.
        retrain_learning_rate: of retraining.
        average: part of each retraining's steps, from the end, whose weights are averaged.
        rho, rho_end: weight of the pull, from the first update of a step to the last.
        until: the residual at which a step's ADMM may end early.
        regrow: whether entries that earlier steps pruned may come back.
        rule: how each step's budget is shared among the layers.
        biases: whether biases are pruned and quantized with the weights; None: where a size in bytes is asked for.
        distill: learning from the dense network.
    """

    factor: float = Field(default=8.0, gt=1)
    part: float = Field(default=2 / 3, gt=0, le=1)
    least_factor: float = Field(default=1.1, gt=1)
    epochs: int = Field(default=24, ge=1)
    retrain: int = Field(default=12, ge=1)
    exchange: int = Field(default=48, ge=0)
    polish: int = Field(default=0, ge=0)
    quantize: int = Field(default=16, ge=1)
    settle: int = Field(default=8, ge=1)
    learning_rate: float = Field(default=2e-3, gt=0)
    retrain_learning_rate: float = Field(default=4e-3, gt=0)
    average: float = Field(default=0.0, ge=0, le=1)
    rho: float = Field(default=2e-3, gt=0)
    rho_end: float = Field(default=2e-1, gt=0)
    until: float = Field(default=0.0, ge=0)
    regrow: bool = False
    rule: str = "fisher"
    biases: bool | None = None
    distill: Distill | None = Distill(temperature=4.0, weight=0.9)

    def open_sets(self) -> dict[Selector, Set]:
        """What a pruning step chooses from: the sites, each open to a budget."""
        return {site: Sparse() for site in self._sites}

    def prune(self, budget: dict[str, Any], name: str) -> list[dict[str, Any]]:
        """The stages of a pruning step under a budget."""
        admm = {"name": "Admm", "rho": self.rho, "rho_end": self.rho_end, "until": self.until, "regrow": self.regrow}
        retrain = self._retrain(f"retrain {name}", self.retrain)
        return [self._stage(f"admm {name}", self.epochs, admm, **self._open_to(budget)), retrain]

    def exchanged(self, budget: dict[str, Any]) -> list[dict[str, Any]]:
        """The stage that lets the support of a pruned network grow and prunes it back, again and again."""
        method = {"name": "Exchange", "cycles": max(1, self.exchange // EPOCHS_OF_A_CYCLE)}
        return [{**self._retrain("exchange", self.exchange), "method": method, **self._open_to(budget)}]

    def polished(self) -> list[dict[str, Any]]:
        """The stage that polishes a pruned network."""
        return [self._retrain("polish", self.polish)]

    def levels(self, bits: int, budget: dict[str, Any] | None = None) -> list[dict[str, Any]]:
        """The stages that quantize the kept entries of every site to so many bits.

        Args:
            bits: of a kept value.
            budget: that the file must be within in the end; None sets no limit.
        """
        sets = {site: to_data(Uniform(bits=bits, zero=False)) for site in self._sites}
        limit = {} if budget is None else {"budget": budget}
        method = {"name": "StraightThrough"}
        epochs = {"quantize": self.quantize, "settle": self.settle}
        return [self._stage(name, count, method, sets=sets, **limit) for name, count in epochs.items()]

    def _open_to(self, budget: dict[str, Any]) -> dict[str, Any]:
        sets = {site: to_data(Sparse()) for site in self._sites}
        return {"sets": sets, "budget": budget, "allocate": self.rule}

    @property
    def _sites(self) -> list[str]:
        return ["*", "*.bias"] if self.biases else ["*"]

    def _retrain(self, name: str, epochs: int) -> dict[str, Any]:
        stage = self._stage(name, epochs, {"name": "Masked"})
        return {**stage, "learning_rate": self.retrain_learning_rate, "average": self.average}

    def _stage(self, name: str, epochs: int, method: dict[str, Any], **more: Any) -> dict[str, Any]:
        training = {"epochs": epochs, "learning_rate": self.learning_rate, "distill": self.distill}
        return {"name": name, **training, "method": method, **more}
