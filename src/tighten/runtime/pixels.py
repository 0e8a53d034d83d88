"""A convolution of a batch, one place of the picture after the other."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from tighten.runtime.conv import Convolution
from tighten.runtime.csr import WIDE, Csr
from tighten.runtime.live import bias_of
from tighten.runtime.unfold import Unfolded
from tighten.runtime.window import Window


class PixelCsr(Convolution):
    """One sparse matrix, used at each place of the result on the pictures of the whole batch: nothing is unfolded.

    Definition: with the input in the order `[H, W, C, N]`, the window of a place is rows of N numbers whose distances
    are the same everywhere; so one list of row numbers serves all places.
    Cost: a call for each place; pays for batches of some dozens.

    Args:
        layer: the convolution.
        size: height and width of the input. Inputs of another size, or of few pictures, go another way.
    """

    def __init__(self, layer: nn.Conv2d, size: tuple[int, int]) -> None:
        super().__init__()
        weight = layer.weight.detach()
        self.size, self.window = size, Window.of(layer)
        self.otherwise = Unfolded(layer, sparse=True)
        self.row = size[1] + self.window.before[1] + self.window.after[1]
        o, c, i, j = weight.nonzero(as_tuple=True)
        steps: Tensor = i * self.window.dilation[0] * self.row + j * self.window.dilation[1]
        reach = layer.in_channels * self.row * (self.window.dilation[0] * (self.window.kernel[0] - 1) + 1)
        self.matrix = Csr(o, steps * layer.in_channels + c, weight[o, c, i, j], bias_of(layer), reach)

    def batch(self, x: Tensor) -> Tensor:
        if tuple(x.shape[2:]) != self.size or x.shape[0] < WIDE:
            return self.otherwise.batch(x)
        (top, left), (bottom, right) = self.window.before, self.window.after
        padded = F.pad(x.permute(2, 3, 1, 0), (0, 0, 0, 0, left, right, top, bottom)).contiguous()
        rows = padded.view(-1, x.shape[0])
        height, width = self.window.outputs(*self.size)
        down, across = self.window.stride[0] * self.row * x.shape[1], self.window.stride[1] * x.shape[1]
        out = x.new_empty(height, width, len(self.matrix.bias), x.shape[0])
        matrix: Csr = self.matrix
        for i in range(height):
            for j in range(width):
                matrix.sum_rows(rows[i * down + j * across :], out[i, j])
        return out.permute(3, 2, 0, 1)


def pixel_calls(layer: nn.Conv2d, size: tuple[int, int]) -> int:
    """How many calls `PixelCsr` takes."""
    height, width = Window.of(layer).outputs(*size)
    return height * width
