"""A network made ready for inference on one machine."""

from __future__ import annotations

from typing import Any, Self

import torch
from torch import nn

from tighten.errors import CompileError
from tighten.runtime.report import Report


class Compiled(nn.Module):
    """A copy of a model that computes the same faster, for inference only: no gradients.

    It takes what the model takes; other batch sizes and picture sizes than the measured ones give right results, too.

    Args:
        network: what is run.
        report: what was chosen and measured.
        choices: layer to kernel, JSON-able; empty for the plain model. `compile(..., choices=...)` takes it.
    """

    _run: nn.Module

    def __init__(self, network: nn.Module, report: Report, choices: dict[str, str]) -> None:
        super().__init__()
        self.network = network.requires_grad_(False).eval()
        self.report = report
        self.choices = choices
        # Small networks run in microseconds: the look-up of a submodule would be seen.
        object.__setattr__(self, "_run", self.network)
        self.training = False

    def forward(self, *args: Any, **settings: Any) -> Any:
        if not torch.is_grad_enabled():
            return self._run(*args, **settings)
        with torch.no_grad():
            return self._run(*args, **settings)

    def train(self, mode: bool = True) -> Self:
        """Refuses training.

        Raises:
            CompileError: `mode` is true.
        """
        if mode:
            raise CompileError("a compiled network only infers: train the model it was made from and compile it again")
        return super().train(False)

    def __str__(self) -> str:
        return str(self.report)
