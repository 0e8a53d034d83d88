"""Files as they are planned to become, and codes that are made to fit."""

import pytest
import torch

import tighten as tt
from tighten.codes import Dense, Indexed, Sparse
from tighten.filesize import planned_size, trimmed


def sparse(seed, shape, count, levels=None):
    x = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
    support = tt.Sparse(count=count)
    return (support if levels is None else support & levels).fit(x)


def kept(codes):
    return sum(code.kept for code in codes.values() if isinstance(code, Sparse))


def test_trimming_drops_just_so_many_that_it_fits_and_leaves_the_rest_alone():
    codes = {
        "plain": sparse(0, (20, 30), 60),
        "levels": sparse(1, (20, 30), 50, tt.Uniform(bits=3, zero=False, per_channel=True)),
        "blocks": tt.BlockSparse(block=(2, 2), count=9).fit(torch.randn(8, 8)),
        "dense": tt.Binary().fit(torch.randn(3, 3)),
    }
    sizes = []

    def size_of(tried):
        sizes.append(100 + 5 * kept(tried))
        return sizes[-1]

    total = kept(codes)
    small = trimmed(codes, 100 + 5 * (total - 13) + 2, size_of)
    assert kept(small) == total - 13
    assert len(sizes) < 12
    assert small["blocks"] is codes["blocks"]
    assert small["dense"] is codes["dense"]
    for name in ("plain", "levels"):
        before, after = codes[name].dense(), small[name].dense()
        stays = small[name].support
        assert torch.equal(before[stays], after[stays])
        assert not after[~stays].any()
        assert not (stays & ~codes[name].support).any()
        dropped = codes[name].support & ~stays
        assert not dropped.any() or before[dropped].abs().max() <= before[stays].abs().min()
    assert not (tt.Sparse(count=50) & tt.Uniform(bits=3, zero=False, per_channel=True)).violations(small["levels"])
    assert not tt.Sparse(count=60).violations(small["plain"])


def test_what_fits_is_not_touched():
    codes = {"w": sparse(0, (5, 6), 10)}
    assert trimmed(codes, 50, lambda tried: 50)["w"] is codes["w"]


@pytest.mark.parametrize("codes", [{"w": sparse(0, (5, 6), 10)}, {"w": tt.Binary().fit(torch.ones(2, 2))}])
def test_what_can_never_fit_is_refused(codes):
    with pytest.raises(tt.PlanError, match="still 5 above it: raise the budget"):
        trimmed(codes, 50, lambda tried: 55)


def test_plain_values_are_measured_as_levels_and_levels_as_they_are():
    codes = {
        "plain": sparse(0, (20, 30), 60),
        "levels": sparse(1, (20, 30), 50, tt.Binary()),
        "bias": Dense(torch.randn(5)),
    }
    promises = {"plain": tt.Sparse(count=60), "levels": tt.Sparse(count=50) & tt.Binary(), "bias": tt.Sparse(count=5)}
    seen = []

    def measure(found, sets):
        seen.append((found, sets))
        return 7

    assert planned_size(measure, codes, promises, 3) == 7
    assert planned_size(measure, codes, promises, 32) == 7
    (planned, sets), (real, as_promised) = seen
    assert isinstance(planned["plain"].inner, Indexed)
    assert len(planned["plain"].dense().unique()) <= 9
    assert torch.equal(planned["plain"].grid, codes["plain"].grid)
    assert sets["plain"] == tt.Sparse(count=60) & tt.Uniform(bits=3, zero=False)
    assert not sets["plain"].violations(planned["plain"])
    assert planned["levels"] is codes["levels"]
    assert planned["bias"] is codes["bias"]
    assert real == codes
    assert as_promised == promises
