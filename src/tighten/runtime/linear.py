"""Ways to compute a linear layer with many zero weights."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from tighten.runtime.csr import Csr
from tighten.runtime.live import bias_of, some


class CsrLinear(nn.Module):
    """A linear layer whose weights are compressed sparse rows. The result is stored feature by feature.

    Shape: `[..., I]` to `[..., O]`.
    """

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        self.matrix = Csr.of(layer.weight.detach(), bias_of(layer))

    def forward(self, x: Tensor) -> Tensor:
        if x.dim() == 2 and x.shape[0] == 1:
            return self.matrix(x[0])[None]  # type: ignore[no-any-return]
        columns = x.reshape(-1, x.shape[-1]).t().contiguous()
        return self.matrix(columns).t().reshape(*x.shape[:-1], -1)  # type: ignore[no-any-return]


class ShrunkLinear(nn.Module):
    """A linear layer without most of its zero rows and columns, as a smaller dense one.

    Shape: `[..., I]` to `[..., O]`.
    """

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        weight = layer.weight.detach()
        self.inputs, self.outputs = some((weight != 0).any(0)), some((weight != 0).any(1))
        self.bias = bias_of(layer)
        small = weight if self.outputs is None else weight[self.outputs]
        self.weight = (small if self.inputs is None else small[:, self.inputs]).clone()
        self.live_bias = self.bias if self.outputs is None else self.bias[self.outputs]

    def forward(self, x: Tensor) -> Tensor:
        if self.inputs is not None:
            x = x.index_select(-1, self.inputs)
        small = F.linear(x, self.weight, self.live_bias)
        if self.outputs is None:
            return small
        out = self.bias.expand(*small.shape[:-1], -1).clone()
        return out.index_copy_(-1, self.outputs, small)
