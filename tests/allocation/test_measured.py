"""Shares of bytes, on files that are made up: exact ones, and estimates that learn from a measurement."""

import math

import pytest
import torch

from tighten.allocation import Evidence, lamp, magnitude
from tighten.allocation.bits import bits_of
from tighten.allocation.measured import Meter, check_bytes
from tighten.errors import PlanError

SIZES = {"a": 4000, "b": 900}


def sites(seed=0):
    generator = torch.Generator().manual_seed(seed)
    return {n: Evidence(torch.randn(size, generator=generator), 0.01) for n, size in SIZES.items()}


class File:
    """A header, and codes that do better or worse than evenly scattered positions."""

    def __init__(self, header, factor):
        self.header, self.factor, self.measured = header, factor, 0

    def __call__(self, counts):
        self.measured += 1
        return self.size(counts)

    def size(self, counts):
        return self.header + math.ceil(self.factor * bits_of(SIZES, counts, 32) / 8)


@pytest.mark.parametrize("factor", [0.6, 1.0, 1.3])
@pytest.mark.parametrize("target", [600, 2000, 9000])
def test_exact_shares_are_within_two_percent_and_below(factor, target):
    file = File(120, factor)
    shares, _ = Meter(file, 32).exact(sites(), lamp, target, None, 0)
    assert 0.98 * target <= file.size(shares) <= target
    assert file.measured <= 8


def test_an_estimate_measures_once_an_epoch_and_is_near():
    file = File(120, 0.7)
    meter = Meter(file, 32)
    _, line = meter.exact(sites(), lamp, 3000, None, 0)
    file.factor, file.measured = 0.9, 0  # training has changed how well the file is coded
    stale, same = meter.estimate(sites(1), lamp, 3000, line, 0)
    assert same == line
    assert file.measured == 0
    assert file.size(stale) > 3300
    shares, line = meter.estimate(sites(1), lamp, 3000, line, 1)
    assert (file.measured, line.epoch) == (1, 1)
    assert 0.96 * 3000 <= file.size(shares) <= 1.02 * 3000


def test_a_known_line_saves_measurements():
    file = File(120, 0.5)
    _, line = Meter(file, 32).exact(sites(), magnitude, 3000, None, 0)
    first, file.measured = file.measured, 0
    Meter(file, 32).exact(sites(1), magnitude, 3000, line, 0)
    assert file.measured == 2 < first  # the smallest, and one that is right


def test_a_file_with_room_for_all_holds_all():
    file = File(120, 0.8)
    shares, _ = Meter(file, 32).exact(sites(), lamp, 10**6, None, 0)
    assert shares == SIZES
    assert file.measured <= 3


def test_a_file_that_cannot_hold_the_rest_says_by_how_much():
    with pytest.raises(PlanError, match=r"111 too many.*\*\.bias"):
        Meter(File(600, 0.0), 32).exact(sites(), lamp, 489, None, 0)
    check_bytes(489, 489)
