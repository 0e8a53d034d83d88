"""A convolution of stride one on windows that are copied in long runs."""

from __future__ import annotations

from torch import Tensor, nn

from tighten.runtime.conv import Convolution
from tighten.runtime.csr import Csr
from tighten.runtime.live import bias_of, some
from tighten.runtime.window import Window

# Numbers of the windows that are worked on at a time, well within a usual second-level cache, in runs of this length or
# a few times it: a multiple of what a processor adds at once.
_CHUNK = 2**17
_RUN, _MOST_RUNS = 64, 4


class RunsCsr(Convolution):
    """A sparse matrix times the windows of live channels, over rows that follow each other in memory.

    Definition: with the padding between rows only once, what lies under place (i, j) of the kernel is the input moved
    by a constant. So a run of neighbouring results, across rows, needs runs of the input, which are quick to copy. The
    results between rows mean nothing; they are left out.

    Args:
        layer: a convolution of stride one.
    """

    def __init__(self, layer: nn.Conv2d) -> None:
        super().__init__()
        weight = layer.weight.detach()
        self.window = Window.of(layer)
        self.inputs = some((weight != 0).flatten(2).any(2).any(0))
        live = weight if self.inputs is None else weight[:, self.inputs]
        self.matrix = Csr.of(live.permute(0, 2, 3, 1).flatten(1), bias_of(layer))
        self.run = _RUN * min(_MOST_RUNS, max(1, _CHUNK // (_RUN * live[0].numel())))

    def batch(self, x: Tensor) -> Tensor:
        x = x.permute(1, 2, 3, 0)
        if self.inputs is not None:
            x = x.index_select(0, self.inputs)
        channels, height, width, pictures = x.shape
        rows, columns = self.window.outputs(height, width)
        (top, left), (_, right) = self.window.before, self.window.after
        on_h = (width + max(left, right, columns - width)) * pictures
        moves = [step * by for step, by in zip(self.window.dilation, (on_h, pictures), strict=True)]
        reach = sum((kernel - 1) * move for kernel, move in zip(self.window.kernel, moves, strict=True))
        wanted = (rows - 1) * on_h + columns * pictures
        end = -(-wanted // self.run) * self.run
        flat = x.new_zeros(channels, end + reach)
        flat.as_strided(x.shape, (end + reach, on_h, pictures, 1), top * on_h + left * pictures).copy_(x)
        windows = x.new_empty(*self.window.kernel, channels, self.run)
        out = x.new_empty(len(self.matrix.bias), end)
        matrix: Csr = self.matrix
        for start in range(0, end, self.run):
            windows.copy_(flat.as_strided(windows.shape, (*moves, end + reach, 1), start))
            matrix.sum_rows(windows.view(-1, self.run), out[:, start : start + self.run])
        return out.as_strided((pictures, len(out), rows, columns), (1, end, on_h, pictures))
