"""Dense ways to compute a convolution: the memory order, weights packed once, dead channels left out."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tighten.runtime.live import bias_of, some


class Convolution(nn.Module):
    """What all ways share: one picture without a batch axis is a batch of one.

    Shape: `[N, C, H, W]` or `[C, H, W]`.
    """

    def forward(self, x: Tensor) -> Tensor:
        return self.batch(x) if x.dim() == 4 else self.batch(x[None])[0]

    def batch(self, x: Tensor) -> Tensor:
        """The result for a batch."""
        raise NotImplementedError


class ChannelsLast(Convolution):
    """The dense convolution in the memory order `[N, H, W, C]`."""

    def __init__(self, layer: nn.Conv2d) -> None:
        super().__init__()
        self.weight = layer.weight.detach().clone(memory_format=torch.channels_last)
        self.bias = None if layer.bias is None else layer.bias.detach().clone()
        self.padding: Any = layer.padding
        self.how = (layer.stride, layer.dilation, layer.groups)

    def batch(self, x: Tensor) -> Tensor:
        stride, dilation, groups = self.how
        x = x.contiguous(memory_format=torch.channels_last)
        return F.conv2d(x, self.weight, self.bias, stride, self.padding, dilation, groups)


class Packed(Convolution):
    """The dense convolution with weights that oneDNN has put in order once, not at each call.

    Raises:
        RuntimeError: this PyTorch cannot.
    """

    def __init__(self, layer: nn.Conv2d, shape: tuple[int, ...]) -> None:
        super().__init__()
        if isinstance(layer.padding, str) or layer.weight.dtype is not torch.float32:
            raise RuntimeError("not a form that oneDNN packs")
        if not all(
            hasattr(torch.ops.mkldnn, name) for name in ("_reorder_convolution_weight", "_convolution_pointwise")
        ):
            raise RuntimeError("this PyTorch has no oneDNN")
        self.how = (list(layer.padding), list(layer.stride), list(layer.dilation), layer.groups)
        padding, stride, dilation, groups = self.how
        weight = layer.weight.detach().contiguous()
        # The operators by which torch.compile freezes weights; they need no compiler.
        packed = torch.ops.mkldnn._reorder_convolution_weight(weight, padding, stride, dilation, groups, list(shape))
        self.weight: Tensor = packed
        self.bias = None if layer.bias is None else layer.bias.detach().clone()

    def batch(self, x: Tensor) -> Tensor:
        x = x.contiguous(memory_format=torch.channels_last)
        result: Tensor = torch.ops.mkldnn._convolution_pointwise(x, self.weight, self.bias, *self.how, "none", [], "")
        return result


class ShrunkConv(Convolution):
    """A convolution without its dead channels, as a smaller dense one."""

    def __init__(self, layer: nn.Conv2d) -> None:
        super().__init__()
        alive = layer.weight.detach() != 0
        self.inputs, self.outputs = some(alive.flatten(2).any(2).any(0)), some(alive.flatten(1).any(1))
        self.bias = bias_of(layer)
        small = layer.weight.detach()
        small = small if self.outputs is None else small[self.outputs]
        small = small if self.inputs is None else small[:, self.inputs]
        self.weight = small.clone(memory_format=torch.channels_last)
        self.live_bias = self.bias if self.outputs is None else self.bias[self.outputs]
        self.padding: Any = layer.padding
        self.how = (layer.stride, layer.dilation)

    def batch(self, x: Tensor) -> Tensor:
        if self.inputs is not None:
            x = x.index_select(1, self.inputs)
        x = x.contiguous(memory_format=torch.channels_last)
        small = F.conv2d(x, self.weight, self.live_bias, self.how[0], self.padding, self.how[1])
        if self.outputs is None:
            return small
        n, _, h, w = small.shape
        out = self.bias[:, None, None].expand(n, -1, h, w).contiguous(memory_format=torch.channels_last)
        out[:, self.outputs] = small
        return out
