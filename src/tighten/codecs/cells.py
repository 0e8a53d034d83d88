"""The entries of a small tensor of levels, each predicted from all that came before it.

An entry is a whole number: 0 where it is pruned or on the level zero, else the place of its level among the
positive or the negative ones. It is coded as up to three kinds of bits: is it 0; its sign; is it larger than
1, than 2 ... Each is a logistic regression (`logistic.py`) over the row, the column, the kernel, the place in
the kernel, and the neighbours in kernel, channel and row. Where rows are alike, each earlier row is a feature too: what
it has in this column. Its weight is learned anew along each row, so that together they know what the matrix is made of.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tighten.codecs.coder import Coder
from tighten.codecs.logistic import LOGISTIC, UNIT_BITS, decide
from tighten.codecs.rangecoder import Bytes, State, compiled

HINTS = 16
_MARGIN = 2
_CHUNK = 1 << 14
"""Cells between two looks at how much room there is for bytes."""


@dataclass(frozen=True)
class Geometry:
    """A tensor of levels as rows of channels of small pictures.

    Args:
        shape: `(rows, channels, height, width)`.
        zero: whether entries can be 0.
        negative: levels below zero.
        positive: levels above zero.
        pace: how quickly rows are learned from earlier rows: a place in `PACES`.
    """

    shape: tuple[int, int, int, int]
    zero: bool
    negative: int
    positive: int
    pace: int = 0


# Prior variances of the features, in the order in which `_row` takes them.
_IS_KEPT = (0.07, 0.3, 0.058, 0.023, 0.018, 3.5, 0.0007, 0.06, 0.11, 0.075, 0.1, 0.18, 0.0115, 0.02, 0.0016, 0.0046)
_SIGN = (0.24, 0.018, 0.015, 0.005, 0.014, 60.0, 18.0, 1.0, 9.0, 1.0, 0.6, 0.3, 0.02, 0.0012, 0.033)
_LARGER = (0.02, 0.057, 0.11, 1.2, 0.25, 0.0046, 0.05, 0.48, 0.06, 0.0027, 0.033)
_LIVE = (6.0, 0.0115, 0.5)
_LEAST = 524
PACES = ((0.0, 0.0), (0.004, 0.004), (0.005, 0.012), (0.006, 0.025))
"""Prior variances of an earlier row, for "is it kept" and for the sign; the first means that no row is looked at."""
_BIAS_OF_KEPT = -2.2


class Cells:
    """A tensor on its way through the coder, some rows at a time."""

    def __init__(
        self,
        of: Geometry,
        values: NDArray[np.int32] | None,
        open_: NDArray[np.uint8],
        hint: NDArray[np.int64],
        row_hint: NDArray[np.int64],
    ) -> None:
        rows, channels, height, width = of.shape
        columns, place = channels * height * width, height * width
        self.of = of
        m = _MARGIN
        self.pad = np.zeros((rows + 1, channels + 1, height + 2 * m, width + 2 * m), dtype=np.int32)
        if values is not None:
            self.pad[:rows, :channels, m : m + height, m : m + width] = values.reshape(of.shape)
        most = max(of.negative, of.positive)
        kept = (1, rows, columns, 16, 12, HINTS, place, rows * channels, rows * place, channels, 16, 10, 10, 4, 5, 5)
        sign = (1, rows, columns, place, rows * channels, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1)
        larger = (most, rows, columns, 2 * most, HINTS, 5, place, rows * channels, 10, 4, 10)
        live = (1, 2, HINTS)
        kin = rows if of.pace else 0  # earlier rows as features
        sizes = [*kept, *sign, *larger, *live, kin, kin]
        priors = [*_IS_KEPT, *_SIGN, *_LARGER, *_LIVE, *PACES[of.pace]]
        self.starts = np.cumsum([0, *sizes])[:-1].astype(np.int64)
        self.variances = np.repeat(np.rint(np.array(priors) * 2**UNIT_BITS).astype(np.int64), sizes)
        self.weights = np.zeros(len(self.variances), dtype=np.int64)
        self.weights[0] = int(_BIAS_OF_KEPT * 2**UNIT_BITS) if of.zero else 0
        self.open, self.hint, self.row_hint = open_, hint, row_hint
        self.earlier = np.zeros((columns, kin), dtype=np.int32)
        self.above = np.zeros((3, columns), dtype=np.int64)
        self.numbers = np.array(
            [of.negative, of.positive, of.zero, rows, 0, kin, *(int(v * 2**UNIT_BITS) for v in PACES[of.pace])],
            dtype=np.int64,
        )

    def code(self, coder: Coder) -> NDArray[np.int32]:
        """All rows, through the coder; what was read or written."""
        columns = len(self.open)
        rows = self.of.shape[0]
        step = max(1, _CHUNK // max(columns, 1))
        most = 2 + max(self.of.negative, self.of.positive)
        for start in range(0, rows, step):
            stop = min(rows, start + step)
            coder.run(partial(self._run, start=start, stop=stop), (stop - start) * (columns * most + 1))
        return self.values

    def _run(self, state: State, data: Bytes, start: int, stop: int) -> None:
        _rows(
            state, data, start, stop, self.pad, self.open, self.hint, self.row_hint, self.above, self.earlier,
            self.numbers, self.starts, self.weights, self.variances, LOGISTIC,
        )  # fmt: skip

    @property
    def values(self) -> NDArray[np.int32]:
        rows, channels, height, width = self.of.shape
        m = _MARGIN
        return self.pad[:rows, :channels, m : m + height, m : m + width]


@compiled
def _bits(number: Any) -> Any:
    count = 0
    while number:
        number >>= 1
        count += 1
    return count


@compiled
def _sign(number: Any) -> Any:
    return 1 if number > 0 else (-1 if number < 0 else 0)


@compiled
def _rows(
    state: Any, data: Any, start: int, stop: int, pad: Any, open_: Any, hint: Any, row_hint: Any, above: Any,
    earlier_rows: Any, numbers: Any, starts: Any, weights: Any, variances: Any, logistic: Any,
) -> None:  # fmt: skip
    rows, channels = pad.shape[0] - 1, pad.shape[1] - 1
    height, width = pad.shape[2] - 4, pad.shape[3] - 4
    place = height * width
    negative, positive, has_zero = numbers[0], numbers[1], numbers[2]
    kin = numbers[5]
    f = np.zeros(20 + kin, dtype=np.int64)
    x = np.ones(20 + kin, dtype=np.int64)
    KEPT, SIGN, LARGER, LIVE, KIN = 0, 16, 31, 42, 45  # places in `starts`
    first_kin = starts[KIN]
    for row in range(start, stop):
        before = numbers[3]  # the live row before this one
        if has_zero and rows > 1:
            live = 0
            if state[3]:
                for c in range(channels):
                    for y in range(height):
                        for z in range(width):
                            if pad[row, c, y + 2, z + 2] != 0:
                                live = 1
            f[0] = starts[LIVE]
            f[1] = starts[LIVE + 1] + numbers[4]
            f[2] = starts[LIVE + 2] + row_hint[row]
            x[:3] = 1
            live = decide(state, data, live, f, x, 3, weights, variances, _LEAST, logistic)
            numbers[4] = live
            if not live:
                continue
        for o in range(2 * kin):
            weights[first_kin + o] = 0
            variances[first_kin + o] = numbers[6 + o // kin]
        in_row = 0
        last_in_row = 0
        for c in range(channels):
            for y in range(height):
                for z in range(width):
                    k = y * width + z
                    j = c * place + k
                    if not open_[j]:
                        continue
                    left = pad[row, c, y + 2, z + 1]
                    up = pad[row, c, y + 1, z + 2]
                    up_left = pad[row, c, y + 1, z + 1]
                    up_right = pad[row, c, y + 1, z + 3]
                    left2 = pad[row, c, y + 2, z]
                    up2 = pad[row, c, y, z + 2]
                    channel = pad[row, c - 1, y + 2, z + 2] if c > 0 else 0
                    earlier = pad[before, c, y + 2, z + 2]
                    value = pad[row, c, y + 2, z + 2]
                    near = abs(left) + abs(up)
                    diagonal = abs(up_left) + abs(up_right)
                    kept = 1
                    if has_zero:
                        f[0] = starts[KEPT]
                        f[1] = starts[KEPT + 1] + row
                        f[2] = starts[KEPT + 2] + j
                        f[3] = starts[KEPT + 3] + min(above[0, j], 15)
                        f[4] = starts[KEPT + 4] + min(_bits(in_row), 11)
                        f[5] = starts[KEPT + 5] + hint[j]
                        n = 6
                        if place > 1:
                            f[n] = starts[KEPT + 6] + k
                            n += 1
                        if channels > 1:
                            if place > 1:
                                f[n] = starts[KEPT + 7] + row * channels + c
                                f[n + 1] = starts[KEPT + 8] + row * place + k
                                f[n + 2] = starts[KEPT + 9] + c
                                n += 3
                            f[n] = starts[KEPT + 14] + min(abs(channel), 4)
                            n += 1
                        if place > 1:
                            f[n] = (
                                starts[KEPT + 10]
                                + (left != 0)
                                + 2 * (up != 0)
                                + 4 * (up_left != 0)
                                + 8 * (up_right != 0)
                            )
                            f[n + 1] = starts[KEPT + 11] + min(near, 9)
                            f[n + 2] = starts[KEPT + 12] + min(diagonal, 9)
                            f[n + 3] = starts[KEPT + 13] + (left2 != 0) + 2 * (up2 != 0)
                            n += 4
                        f[n] = starts[KEPT + 15] + min(abs(earlier), 4)
                        n += 1
                        if kin:
                            for o in range(above[0, j]):
                                f[n] = first_kin + (abs(earlier_rows[j, o]) - 1)
                                n += 1
                        x[:n] = 1
                        kept = decide(
                            state, data, 1 if value != 0 else 0, f, x, n, weights, variances, _LEAST, logistic
                        )
                    if not kept:
                        pad[row, c, y + 2, z + 2] = 0
                        continue
                    in_row += 1
                    s = 1
                    if negative and positive:
                        x[:5] = 1
                        f[0] = starts[SIGN]
                        f[1] = starts[SIGN + 1] + row
                        f[2] = starts[SIGN + 2] + j
                        n = 3
                        if place > 1:
                            f[n] = starts[SIGN + 3] + k
                            n += 1
                            if channels > 1:
                                f[n] = starts[SIGN + 4] + row * channels + c
                                n += 1
                        for o in range(10):
                            if o == 0:
                                t = left
                            elif o == 1:
                                t = up
                            elif o == 2:
                                t = up_left
                            elif o == 3:
                                t = up_right
                            elif o == 4:
                                t = left2
                            elif o == 5:
                                t = up2
                            elif o == 6:
                                t = channel
                            elif o == 7:
                                t = earlier
                            elif o == 8:
                                t = last_in_row
                            else:
                                t = above[1, j]
                            if t != 0:
                                f[n] = starts[SIGN + 5 + o]
                                x[n] = _sign(t)
                                n += 1
                        if kin:
                            for o in range(above[0, j]):
                                t = earlier_rows[j, o]
                                f[n] = first_kin + kin + (abs(t) - 1)
                                x[n] = _sign(t)
                                n += 1
                        s = decide(state, data, 1 if value > 0 else 0, f, x, n, weights, variances, _LEAST, logistic)
                    elif negative:
                        s = 0
                    most = positive if s else negative
                    size = 1
                    same = (1 if left != 0 and (left > 0) == (s == 1) else 0) + 2 * (
                        1 if up != 0 and (up > 0) == (s == 1) else 0
                    )
                    while size < most:
                        x[:11] = 1
                        f[0] = starts[LARGER] + size - 1
                        f[1] = starts[LARGER + 1] + row
                        f[2] = starts[LARGER + 2] + j
                        f[3] = starts[LARGER + 3] + 2 * (size - 1) + s
                        f[4] = starts[LARGER + 4] + hint[j]
                        f[5] = starts[LARGER + 5] + min(abs(earlier), 4)
                        n = 6
                        if place > 1:
                            f[n] = starts[LARGER + 6] + k
                            n += 1
                            if channels > 1:
                                f[n] = starts[LARGER + 7] + row * channels + c
                                n += 1
                            f[n] = starts[LARGER + 8] + min(near, 9)
                            f[n + 1] = starts[LARGER + 9] + same
                            f[n + 2] = starts[LARGER + 10] + min(diagonal, 9)
                            n += 3
                        if not decide(
                            state, data, 1 if abs(value) > size else 0, f, x, n, weights, variances, _LEAST, logistic
                        ):
                            break
                        size += 1
                    value = size if s else -size
                    pad[row, c, y + 2, z + 2] = value
                    last_in_row = value
                    if kin:
                        earlier_rows[j, above[0, j]] = row + 1 if s else -(row + 1)
                    above[0, j] += 1
                    above[1, j] = value
        numbers[3] = row
