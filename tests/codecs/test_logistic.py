"""Bits by logistic regression."""

from __future__ import annotations

import math

import numpy as np

from tighten.codecs import rangecoder
from tighten.codecs.logistic import LOGISTIC, UNIT_BITS, decide


def test_the_table_is_the_logistic_function() -> None:
    exact = [1 / (1 + math.exp(-i / 256)) for i in range(-12 * 256, 12 * 256 + 1)]
    assert np.abs(LOGISTIC / 2**16 - np.array(exact)).max() <= 2**-16


def test_a_signed_feature_is_learned() -> None:
    rng = np.random.default_rng(0)
    signs = rng.choice([-1, 1], 2000)
    bits = np.where(rng.random(2000) < 0.9, signs > 0, signs < 0).astype(int)
    state, data = rangecoder.writing(), np.zeros(5000, dtype=np.uint8)
    weights, variances = np.zeros(1, dtype=np.int64), np.full(1, 2**UNIT_BITS)
    feature = np.zeros(1, dtype=np.int64)
    for bit, sign in zip(bits, signs, strict=True):
        decide(state, data, bit, feature, np.array([sign]), 1, weights, variances, 500, LOGISTIC)
    entropy = -0.9 * math.log2(0.9) - 0.1 * math.log2(0.1)
    assert 8 * len(rangecoder.written(state, data)) < 2000 * entropy * 1.05
    assert weights[0] / 2**UNIT_BITS > 1.5
