"""The weights of one layer, with what is known of their form."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from tighten.codes import Code, Indexed, Sparse


@dataclass(frozen=True, eq=False)
class Weights:
    """The matrix `scale[:, None] * base` and a bias.

    The scale is kept apart because `base` may have few values where the product has many.

    Args:
        base: `[outputs, columns]`, float32.
        scale: `[outputs]`, float64.
        bias: `[outputs]`, float64.
    """

    base: Tensor
    scale: Tensor
    bias: Tensor

    @classmethod
    def of(cls, weight: Tensor, bias: Tensor | None, code: Code | None) -> Weights:
        """The weights of a layer.

        Args:
            weight: its tensor, outputs on axis 0.
            bias: its bias.
            code: what `weight` was before some entries became zero, if that is known.
        """
        outputs = len(weight)
        base = weight.detach().float().reshape(outputs, -1)
        scale = torch.ones(outputs, dtype=torch.float64)
        if code is not None and (found := _scale_by_output(code)) is not None:
            steps, scales = found
            base, scale = torch.where(base != 0, steps.float().reshape(base.shape), 0.0), scales.double()
        shift = torch.zeros(outputs) if bias is None else bias.detach()
        return cls(base, scale, shift.double())

    @property
    def kept(self) -> int:
        """Weights that are not zero."""
        return int((self.base != 0).sum())

    def followed_by(self, factor: Tensor, shift: Tensor) -> Weights:
        """The layer with `factor * y + shift` of its outputs `y`."""
        return replace(self, scale=self.scale * factor, bias=self.bias * factor + shift)

    def rows(self, chosen: Tensor) -> Weights:
        """Some of the outputs."""
        return Weights(self.base[chosen], self.scale[chosen], self.bias[chosen])

    def columns(self, chosen: Tensor) -> Weights:
        """Some of the inputs."""
        return replace(self, base=self.base[:, chosen])

    def product(self) -> Tensor:
        """The plain matrix, float32, rounded once."""
        return (self.base.double() * self.scale[:, None]).float()


def _scale_by_output(code: Code) -> tuple[Tensor, Tensor] | None:
    """Steps and one scale for each output; None where there is one scale for all, or scales of another kind."""
    indexed = code.inner if isinstance(code, Sparse) else code
    if not isinstance(indexed, Indexed) or len(indexed.scale) == 1:
        return None
    runs = torch.arange(len(indexed.counts)).repeat_interleave(indexed.counts)
    steps, run = indexed.steps[indexed.index.reshape(-1).long()], runs
    if isinstance(code, Sparse):
        all_steps = torch.zeros(code.shape, dtype=steps.dtype)
        all_runs = torch.full(code.shape, -1)
        all_steps[code.support], all_runs[code.support] = steps, run
        steps, run = all_steps, all_runs
    run = run.reshape(code.shape[0], -1)
    first = run.amax(1, keepdim=True)
    if bool(((run != first) & (run >= 0)).any()):
        return None
    scales = torch.where(first[:, 0] >= 0, indexed.scale[first[:, 0].clamp(min=0)], 1.0)
    return steps.reshape(code.shape), scales
