"""Learning from the dense network: from its outputs, and from what its layers give on the way."""

from __future__ import annotations

from fnmatch import fnmatchcase
from types import TracebackType
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from tighten.errors import RecipeError
from tighten.recipes import Distill


class Distillation:
    """The loss of a network that learns from another of the same modules. While it is entered, it listens to both.

    To the outputs' divergence it adds, for each module named, the squared difference of what the two networks' modules
    give, divided by the teacher's square, mean over the examples.

    Args:
        student: the network that learns.
        teacher: the dense network.
        settings: how.

    Raises:
        RecipeError: a name matches no module.

    Source: Romero et al., "FitNets: Hints for Thin Deep Nets", arXiv 1412.6550.
    """

    def __init__(self, student: nn.Module, teacher: nn.Module, settings: Distill) -> None:
        self._networks = (student, teacher)
        self._settings = settings
        self._names = matching(student, settings.features)
        self._given: tuple[dict[str, Tensor], dict[str, Tensor]] = ({}, {})
        self._handles: list[RemovableHandle] = []

    def __enter__(self) -> Distillation:
        for network, given in zip(self._networks, self._given, strict=True):
            modules = dict(network.named_modules())
            self._handles += [modules[name].register_forward_hook(_keep(given, name)) for name in self._names]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for handle in self._handles:
            handle.remove()
        for given in (self._handles, *self._given):
            given.clear()

    def loss(self, plain: Tensor, outputs: Tensor, wanted: Tensor) -> Tensor:
        """The loss of a batch, after both networks have seen it.

        Args:
            plain: the loss against the labels, a scalar.
            outputs: `[examples, classes]`, logits of the student.
            wanted: the same of the teacher.
        """
        t, weight = self._settings.temperature, self._settings.weight
        soft = F.kl_div(
            F.log_softmax(outputs.float() / t, 1),
            F.log_softmax(wanted.float() / t, 1),
            log_target=True,
            reduction="batchmean",
        )
        loss = (1 - weight) * plain + weight * t * t * soft
        for name in self._names:
            loss = loss + self._settings.features_weight * _distance(*(given[name] for given in self._given))
        return loss


def matching(model: nn.Module, patterns: list[str]) -> list[str]:
    """The modules that the patterns name, each once, in the model's order.

    Raises:
        RecipeError: a pattern matches none.
    """
    names = [name for name, _ in model.named_modules() if name]
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in names):
            raise RecipeError(
                f"distill.features has '{pattern}', which matches no module of the {type(model).__name__}: "
                f"its modules are {', '.join(names[:8])}{', ...' if len(names) > 8 else ''}"
            )
    return [name for name in names if any(fnmatchcase(name, pattern) for pattern in patterns)]


def _keep(given: dict[str, Tensor], name: str) -> Any:
    def hook(module: nn.Module, inputs: Any, output: Any) -> None:
        if not isinstance(output, Tensor):
            raise RecipeError(
                f"distill.features names '{name}', which gives a {type(output).__name__}: "
                "name modules that give a tensor"
            )
        given[name] = output

    return hook


def _distance(ours: Tensor, theirs: Tensor) -> Tensor:
    """By examples, so that processes may share a batch."""
    ours, theirs = ours.float().flatten(1), theirs.detach().float().flatten(1)
    return ((ours - theirs).square().mean(1) / theirs.square().mean(1).clamp_min(1e-12)).mean()
