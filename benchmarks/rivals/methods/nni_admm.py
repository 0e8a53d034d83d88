"""NNI's ADMM pruner, as shipped and with its penalty squared as in the paper it cites."""

from collections.abc import Callable
from typing import Any

import nni
import torch
from lesson import Criterion, Lesson, Target
from nni.algorithms.compression.v2.pytorch.pruning import ADMMPruner
from shares import shared
from torch import Tensor, nn

EPOCHS_EACH = 2
"""Of training in each iteration."""


class Corrected(ADMMPruner):
    """The pruner with rho/2 |W - Z + U|^2, where the one that is shipped takes the square root of the norm."""

    def criterion_patch(self, origin_criterion: Criterion) -> Criterion:
        def patched(output: Tensor, target: Target) -> Tensor:
            penalty = torch.zeros(())
            for name, wrapper in self.get_modules_wrapper().items():
                gap = wrapper.weight - self.Z[name]["weight"] + self.U[name]["weight"]
                penalty = penalty + wrapper.config["rho"] / 2 * gap.square().sum()
            return origin_criterion(output, target) + penalty

        return patched


def train(
    lesson: Lesson,
    row: dict[str, Any],
    *,
    corrected: bool,
    rho: float,
    busy: float,
    learning_rate: float,
    given_shares: bool,
) -> nn.Module:
    """Iterations of ADMM, then retraining under the masks.

    Args:
        corrected: the penalty squared.
        rho: its weight, the same all along as in the package.
        busy: part of the epochs in ADMM.
        given_shares: the shares of the layers that `tighten` found; else the same part of each.
    """
    model = lesson.network()
    layers = {name: module.weight.numel() for name, module in model.named_children()}
    kept = {name.removesuffix(".weight"): n for name, n in shared(row["rate"]).items()} if given_shares else {}
    configs = [
        {
            "op_types": ["Conv2d", "Linear"],
            "op_names": [name],
            "sparsity_per_layer": 1 - kept[name] / size if given_shares else 1 - 1 / row["rate"],
            "rho": rho,
        }
        for name, size in layers.items()
    ]

    def one_epoch(net: nn.Module, optimizer: torch.optim.Optimizer, criterion: Criterion) -> None:
        lesson.epoch(net, optimizer, criterion=criterion)

    iterations = max(1, round(busy * lesson.epochs / EPOCHS_EACH))
    kind: Callable[..., ADMMPruner] = Corrected if corrected else ADMMPruner
    pruner = kind(
        model, configs, one_epoch, nni.trace(torch.optim.Adam)(model.parameters(), lr=learning_rate),
        lesson.criterion, iterations=iterations, training_epochs=EPOCHS_EACH,
    )  # fmt: skip
    wrapped, _ = pruner.compress()
    optimizer, epochs = torch.optim.Adam(wrapped.parameters(), lr=learning_rate), lesson.epochs - lesson.done
    scheduler = lesson.cosine(optimizer, epochs)
    for _ in range(epochs):
        lesson.epoch(wrapped, optimizer, scheduler)
    plain = lesson.network()
    for name, wrapper in pruner.get_modules_wrapper().items():
        layer = plain.get_submodule(name)
        layer.weight.data = (wrapper.weight * wrapper.weight_mask).detach()
        layer.bias.data = wrapper.bias.detach() if hasattr(wrapper, "bias") else wrapper.module.bias.detach()
    return plain
