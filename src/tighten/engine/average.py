"""The mean of the last weights of a stage, in place of its very last ones."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_swa_multi_avg_fn


class Average:
    """A running mean of a model's parameters over the last part of a stage.

    Every step counts the same. The constraint is not lost: a support is the same at every step, and the mean of
    a weight that does not move is that weight.

    Source: Izmailov et al., "Averaging Weights Leads to Wider Optima and Better Generalization", arXiv 1803.05407.

    Args:
        model: whose parameters are averaged.
        part: of the stage's steps, from its end; 0 averages nothing.
        steps: of the stage.
    """

    def __init__(self, model: nn.Module, part: float, steps: int) -> None:
        self.model = model
        self.first = steps - int(part * steps)
        self.mean = AveragedModel(model, multi_avg_fn=get_swa_multi_avg_fn()) if part > 0 else None

    def after_step(self, step: int) -> None:
        """The weights after this step (counted from one) taken into the mean, if its time has come."""
        if self.mean is not None and step > self.first:
            self.mean.update_parameters(self.model)

    @torch.no_grad()
    def put_into(self, model: nn.Module) -> None:
        """The model's parameters set to the mean; batch norm statistics are those of other weights from then on."""
        if self.mean is None or int(self.mean.n_averaged) == 0:
            return
        for own, mean in zip(model.parameters(), self.mean.module.parameters(), strict=True):
            own.copy_(mean)

    def state_dict(self) -> dict[str, Any] | None:
        """What a checkpoint needs."""
        return None if self.mean is None else self.mean.state_dict()

    def load_state_dict(self, state: dict[str, Any] | None) -> None:
        """Go on where `state_dict` was taken."""
        if self.mean is not None and state is not None:
            self.mean.load_state_dict(state)
