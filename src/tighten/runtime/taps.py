"""A convolution of stride one as a sum over the places of its kernel, without unfolding."""

from __future__ import annotations

from torch import Tensor, nn

from tighten.runtime.conv import Convolution
from tighten.runtime.csr import Csr
from tighten.runtime.live import bias_of
from tighten.runtime.window import Window

# Numbers of the input and the result that are worked on at a time: within a usual second-level cache.
_CHUNK = 2**18


class TapsCsr(Convolution):
    """One sparse matrix, from channels to channels, for each place of the kernel that has a weight.

    Definition: over padded rows that follow each other in memory, the input under place (i, j) of the kernel is the
    input moved by a constant. So each place adds `matrix[i, j] @ moved input`, and no window is copied. The ends of
    rows give results that mean nothing; they are left out.

    Args:
        layer: a convolution of stride one.
    """

    def __init__(self, layer: nn.Conv2d) -> None:
        super().__init__()
        weight = layer.weight.detach()
        self.window = Window.of(layer)
        rows, columns = self.window.kernel
        places = [(i, j) for i in range(rows) for j in range(columns) if weight[:, :, i, j].count_nonzero()]
        self.places = [(i * self.window.dilation[0], j * self.window.dilation[1]) for i, j in places]
        self.matrices = [Csr.of(weight[:, :, i, j], bias_of(layer)).matrix for i, j in places]
        self.bias = bias_of(layer)[:, None]
        self.chunk = max(1, _CHUNK // (layer.in_channels + layer.out_channels))

    def batch(self, x: Tensor) -> Tensor:
        height, width = self.window.outputs(x.shape[2], x.shape[3])
        pictures = x.shape[0]
        padded = self.window.pad(x.permute(1, 2, 3, 0)).contiguous()
        row = padded.shape[2] * pictures
        flat = padded.view(padded.shape[0], -1)
        out = flat.new_empty(self.bias.shape[0], height * row)
        moves = [i * row + j * pictures for i, j in self.places]
        end = (height - 1) * row + width * pictures
        for start in range(0, end, self.chunk):
            stop = min(start + self.chunk, end)
            part = out[:, start:stop]
            part.copy_(self.bias.expand(-1, stop - start))
            for matrix, move in zip(self.matrices, moves, strict=True):
                part.addmm_(matrix, flat[:, start + move : stop + move])
        return out.view(-1, height, padded.shape[2], pictures)[:, :, :width].permute(3, 0, 1, 2)
