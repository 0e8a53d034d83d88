"""How a network is trained for some epochs, as a recipe says it."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class Strict(BaseModel):
    """A table without room for unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Distill(Strict):
    """Learning from the dense network besides the labels.

    Args:
        temperature: of both networks' outputs.
        weight: of the outputs' divergence; the rest is that of the labels.
        features: names or patterns of modules, such as "layer?.?"; what they give is to be as in the dense network.
        features_weight: of each of these modules' relative squared difference.

    Source: Hinton et al., "Distilling the Knowledge in a Neural Network", arXiv 1503.02531.
    """

    temperature: float = Field(default=2.0, gt=0)
    weight: float = Field(default=0.7, ge=0, le=1)
    features: list[str] = []
    features_weight: float = Field(default=1.0, gt=0)


class Training(Strict):
    """How a network is trained for some epochs.

    Args:
        epochs: passes over the training data.
        learning_rate: at its highest.
        augment: whether the recipe's augmentation is applied.
        distill: learning from the dense network.
    """

    epochs: int = Field(ge=1)
    learning_rate: float = Field(gt=0)
    augment: bool = True
    distill: Distill | None = None


class Recover(Strict):
    """What a run may do about a loss or weights that are not finite: roll back to the last good checkpoint and go on.

    Args:
        tries: how often, in each stage; 0 stops the run instead.
        rho_factor: on the rho of ADMM, at each try.
        learning_rate_factor: on the learning rate, at each try.
    """

    tries: int = Field(default=0, ge=0)
    rho_factor: float = Field(default=0.5, gt=0, le=1)
    learning_rate_factor: float = Field(default=1.0, gt=0, le=1)
