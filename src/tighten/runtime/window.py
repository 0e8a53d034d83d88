"""Where the windows of a convolution or of a pooling lie."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn


@dataclass(frozen=True)
class Window:
    """Kernel, steps and padding, each for the vertical and the horizontal axis.

    Args:
        kernel, stride, dilation: as PyTorch has them.
        before, after: padding at the top and left, at the bottom and right.
    """

    kernel: tuple[int, int]
    stride: tuple[int, int]
    dilation: tuple[int, int]
    before: tuple[int, int]
    after: tuple[int, int]

    @classmethod
    def of(cls, layer: nn.Conv2d) -> Window:
        """The window of a convolution."""
        kernel, dilation = pair(layer.kernel_size), pair(layer.dilation)
        if layer.padding == "same":
            spans = [d * (k - 1) for k, d in zip(kernel, dilation, strict=True)]
            before, after = (spans[0] // 2, spans[1] // 2), (-(-spans[0] // 2), -(-spans[1] // 2))
        elif layer.padding == "valid":
            before = after = (0, 0)
        else:
            before = after = pair(layer.padding)
        return cls(kernel, pair(layer.stride), dilation, before, after)

    def outputs(self, height: int, width: int) -> tuple[int, int]:
        """Height and width of the result."""
        return self._steps(0, height), self._steps(1, width)

    def pad(self, x: Tensor, value: float = 0.0) -> Tensor:
        """The input with its padding, in the order `[C, H, W, N]`; the input itself where there is none."""
        if not any(self.before + self.after):
            return x
        (top, left), (bottom, right) = self.before, self.after
        c, h, w, n = x.shape
        padded = x.new_full((c, top + h + bottom, left + w + right, n), value)
        padded[:, top : top + h, left : left + w] = x
        return padded

    def slide(self, x: Tensor) -> Tensor:
        """All windows of a padded input, without copying anything.

        Shape: `[C, H, W, N]` to `[C, kernel, kernel, rows, columns, N]`.
        """
        c, h, w, n = x.shape
        on_c, on_h, on_w, on_n = x.stride()
        rows = (h - self.dilation[0] * (self.kernel[0] - 1) - 1) // self.stride[0] + 1
        columns = (w - self.dilation[1] * (self.kernel[1] - 1) - 1) // self.stride[1] + 1
        return x.as_strided(
            (c, *self.kernel, rows, columns, n),
            (
                on_c,
                on_h * self.dilation[0],
                on_w * self.dilation[1],
                on_h * self.stride[0],
                on_w * self.stride[1],
                on_n,
            ),
        )

    def _steps(self, axis: int, size: int) -> int:
        span = self.dilation[axis] * (self.kernel[axis] - 1) + 1
        return (size + self.before[axis] + self.after[axis] - span) // self.stride[axis] + 1


def pair(value: int | str | tuple[int, ...]) -> tuple[int, int]:
    """One number for both axes, or one for each."""
    if isinstance(value, tuple):
        return value[0], value[-1]
    return int(value), int(value)
