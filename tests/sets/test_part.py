"""Sets of tensors that processes share: the same point as in one process."""

from __future__ import annotations

import pytest
import torch
from tests.sets.sharing import Threads, shared, split
from torch import Tensor

import tighten as tt
from tighten.codes import Indexed
from tighten.errors import SetError
from tighten.sets import Set
from tighten.sets.part import Part

BY_ENTRY = [
    tt.Sparse(density=0.3),
    tt.Binary(),
    tt.Ternary(),
    tt.Uniform(bits=3),
    tt.PowerOfTwo(bits=3),
    tt.Codebook(values=(-0.5, 0.0, 1.0)),
    tt.Sparse(density=0.4) & tt.Uniform(bits=3, zero=False),
    tt.Sparse(density=0.4) & tt.Ternary(),
    tt.Sparse(density=0.4) & tt.PowerOfTwo(bits=4, top=1),
]
BY_ROW = [
    tt.NMSparse(2, 4),
    tt.FilterSparse(count=3),
    tt.ChannelSparse(count=3),
    tt.Binary(per_channel=True),
    tt.Uniform(bits=3, per_channel=True),
    tt.NMSparse(2, 4) & tt.Uniform(bits=3, per_channel=True),
    tt.FilterSparse(count=3) & tt.Uniform(bits=3),
    tt.ChannelSparse(density=0.5) & tt.Binary(),
]


def draw(seed: int, ties: bool = False) -> Tensor:
    x = torch.randn(7, 8, 2, generator=torch.Generator().manual_seed(seed))
    return (2 * x).round() / 2 if ties else x


def check(s: Set, x: Tensor, n: int, axis: int) -> None:
    whole = s.fit(x)

    def work(local: Tensor, part: Part) -> tuple[Tensor, list[str], Tensor]:
        code = s.fit(local, part)
        inner = code if isinstance(code, Indexed) else code.inner
        one = isinstance(inner, Indexed) and not getattr(getattr(s, "levels", s), "per_channel", False)
        scale = inner.scale if one and isinstance(inner, Indexed) else torch.zeros(1)
        return code.dense(), s.violations(code, part), scale

    found = shared(x, n, axis, work)
    assert all(wrong == [] for _, wrong, _ in found)
    assert all(torch.equal(scale, found[0][2]) for _, _, scale in found)
    joined = torch.cat([dense for dense, _, _ in found], axis)
    torch.testing.assert_close(joined, whole.dense(), rtol=1e-6, atol=0)


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("s", BY_ENTRY, ids=str)
def test_sets_of_entries_do_not_care_how_a_tensor_is_shared(s: Set, axis: int) -> None:
    for seed, n, ties in ((0, 2, False), (1, 3, True), (2, 4, True), (3, 5, False)):
        check(s, draw(seed, ties), n, axis)


@pytest.mark.parametrize("s", BY_ROW, ids=str)
def test_sets_with_a_structure_work_on_whole_rows(s: Set) -> None:
    for seed, n, ties in ((0, 2, False), (1, 3, True), (2, 5, True)):
        check(s, draw(seed, ties), n, 0)


def test_blocks_that_fit_the_shards_work_and_others_are_refused() -> None:
    x = torch.randn(8, 6)
    check(tt.BlockSparse((2, 3), count=3), x, 4, 0)
    check(tt.BlockSparse((8, 3), count=1), x, 4, 0)
    with pytest.raises(SetError, match="they cut its units in two"):
        check(tt.BlockSparse((4, 3), count=3), x, 4, 0)


def test_filters_and_channels_may_be_cut_themselves() -> None:
    check(tt.FilterSparse(count=3), draw(0), 3, 1)
    check(tt.ChannelSparse(count=3), draw(0), 3, 1)
    check(tt.ChannelSparse(count=3), torch.randn(5, 8), 4, 0)  # one process has a single row, one none


@pytest.mark.parametrize(
    ("s", "way_out"),
    [
        (tt.NMSparse(2, 4), "shard along axis 0"),
        (tt.Uniform(bits=3, per_channel=True), "shard along axis 0, or use one scale for all"),
        (tt.Codebook(bits=2), "use Uniform, PowerOfTwo or given values"),
    ],
    ids=str,
)
def test_what_shards_cut_is_refused_with_the_way_out(s: Set, way_out: str) -> None:
    with pytest.raises(SetError, match=way_out):
        shared(draw(0), 2, 1, s.fit)


def test_every_process_hears_of_numbers_that_are_not_finite() -> None:
    x = draw(0)
    x[6, 0, 0] = torch.nan

    def work(local: Tensor, part: Part) -> str:
        with pytest.raises(SetError, match="NaN or infinite") as caught:
            tt.Sparse(density=0.5).fit(local, part)
        return str(caught.value)

    assert len(shared(x, 3, 0, work)) == 3


def test_a_violation_counts_the_entries_of_all() -> None:
    def work(local: Tensor, part: Part) -> list[str]:
        return tt.Sparse(count=10).violations(tt.Sparse(count=11).fit(local, part), part)

    assert all("11 entries kept" in wrong[0] for wrong in shared(draw(0), 3, 0, work))


@pytest.mark.parametrize("entries", [4_000, 40_000])
def test_a_projection_sends_counts_whatever_the_size(entries: int) -> None:
    """The figures of docs/many-processes.md."""

    def work(local: Tensor, part: Part) -> int:
        tt.Sparse(density=0.1).fit(local, part)
        assert isinstance(part.parts, Threads)
        return part.parts.sent[part.parts.own.rank]

    flags, counts = 3 * 8, 8 * (2**11 + 2**11 + 2**9)
    assert shared(torch.randn(entries), 4, 0, work) == [flags + counts] * 4


def test_a_binary_fit_sends_sums() -> None:
    def work(local: Tensor, part: Part) -> int:
        tt.Binary().fit(local, part)
        assert isinstance(part.parts, Threads)
        return part.parts.sent[part.parts.own.rank]

    assert max(shared(torch.randn(40_000), 4, 0, work)) <= 128


def test_places_are_those_in_the_whole_tensor() -> None:
    x = torch.arange(7 * 5 * 3).view(7, 5, 3)
    for axis in (0, 1, 2):
        found = shared(x, 3, axis, lambda local, part: (part.places(torch.arange(local.numel()), local.shape), local))
        for places, local in found:
            assert torch.equal(places, local.flatten())


def test_parts_are_cut_as_dtensor_does() -> None:
    assert [len(part) for part, _ in split(torch.zeros(6), 4, 0)] == [2, 2, 2, 0]
