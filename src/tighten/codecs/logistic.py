"""Bits predicted by logistic regression that learns while coding, in whole numbers.

Model: a bit is 1 with probability 1 / (1 + exp(-sum of x * w)) over the features that are on, x = 1 or -1.
Each weight w has a normal distribution; a bit moves its mean by variance * x * (bit - p) and narrows it:
1 / variance grows by p (1 - p). So features that were seen often settle, and new ones learn quickly. The
prior variances say how much a kind of feature is trusted to matter.
"""

from __future__ import annotations

from decimal import Decimal, localcontext

import numpy as np
from numpy.typing import NDArray

from tighten.codecs.rangecoder import ONE, PROBABILITY_BITS, Bytes, State, code_bit, compiled

UNIT_BITS = 20
"""Weights and variances are whole numbers of 2^-20."""
_REACH = 12
_PER_ONE = 256


def _logistic() -> NDArray[np.int64]:
    """Probabilities out of 2^16 at every 1/256 from -12 to 12, correctly rounded, so equal everywhere."""
    with localcontext() as context:
        context.prec = 40
        step = (Decimal(1) / _PER_ONE).exp()
        fall, table = (Decimal(_REACH)).exp(), []
        for _ in range(2 * _REACH * _PER_ONE + 1):
            table.append(int((ONE / (1 + fall)).to_integral_value()))
            fall /= step
    return np.clip(np.array(table, dtype=np.int64), 1, ONE - 1)


LOGISTIC = _logistic()
_SHIFT = UNIT_BITS - 8
_MIDDLE = _REACH * _PER_ONE


@compiled
def decide(
    state: State,
    data: Bytes,
    bit: int,
    features: NDArray[np.int64],
    signs: NDArray[np.int64],
    count: int,
    weights: NDArray[np.int64],
    variances: NDArray[np.int64],
    least: int,
    logistic: NDArray[np.int64],
) -> int:
    """A bit by the first `count` features, which then learn from it.

    Args:
        features: places in `weights`.
        signs: 1 or -1 each.
        least: variance below which none falls, so that old weights still learn.
    """
    total = 0
    for i in range(count):
        total += signs[i] * weights[features[i]]
    at = min(max((total >> _SHIFT) + _MIDDLE, 0), 2 * _MIDDLE)
    p = logistic[at]
    bit = code_bit(state, data, bit, p)
    error = (bit << PROBABILITY_BITS) - p
    spread = p * (ONE - p) >> PROBABILITY_BITS
    for i in range(count):
        k = features[i]
        variance = variances[k]
        variance = (variance << UNIT_BITS) // ((1 << UNIT_BITS) + (variance * spread >> PROBABILITY_BITS))
        variance = max(variance, least)
        variances[k] = variance
        weights[k] += signs[i] * (variance * error >> PROBABILITY_BITS)
    return bit
