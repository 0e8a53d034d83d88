"""Matrices as tables: the shortest form, and codes with a scale for each output."""

import pytest
import torch

from tighten.codes import Dense, Indexed, Sparse
from tighten.export.c99.encoding import Encoded
from tighten.export.c99.tables import as_bytes, gaps
from tighten.export.c99.weights import Weights


def plain(matrix, bias=None):
    return Weights.of(matrix, bias, None)


@pytest.mark.parametrize(
    ("density", "form"), [(0.004, "gaps"), (0.03, "gaps"), (0.3, "bits"), (0.6, "bits"), (0.8, "all"), (1.0, "all")]
)
def test_the_form_follows_the_density(density, form):
    draw = torch.Generator().manual_seed(0)
    matrix = torch.randn(40, 300, generator=draw) * (torch.rand(40, 300, generator=draw) < density)
    encoded = Encoded.of(plain(matrix))
    assert encoded.form == form
    kept = matrix != 0
    assert encoded.positions == {"gaps": gaps(kept), "bits": as_bytes(kept.flatten()), "all": []}[form]
    assert torch.equal(encoded.values.numbers, matrix.flatten() if form == "all" else matrix[kept])
    lengths = [len(gaps(kept)), len(as_bytes(kept.flatten()))]
    if form != "all":
        assert encoded.bytes == 4 * int(kept.sum()) + min(lengths)


def test_column_by_column():
    matrix = torch.arange(1.0, 7).reshape(2, 3)
    assert Encoded.of(plain(matrix), by_input=True).values.numbers.tolist() == [1, 4, 2, 5, 3, 6]


def test_few_values_with_zeros_among_them_are_packed_with_or_without_positions():
    draw = torch.Generator().manual_seed(0)
    matrix = torch.randint(0, 4, (50, 80), generator=draw) * 1.0
    encoded = Encoded.of(plain(matrix))
    assert (encoded.form, encoded.values.bits) == ("all", 2)


def indexed(counts, shape):
    total = sum(counts)
    index = (torch.arange(total) % 2).to(torch.uint8)
    scale = torch.arange(1.0, len(counts) + 1) / 7
    return Indexed(index.view(shape), torch.tensor([-1.0, 1.0]), scale, torch.tensor(counts))


def test_a_scale_for_each_output_is_kept_apart():
    code = indexed([40, 40, 40], (3, 40))
    weights = Weights.of(code.dense(), None, code)
    assert weights.base.unique().tolist() == [-1, 1]
    assert torch.equal(weights.product(), code.dense())
    followed = weights.followed_by(torch.tensor([2.0, -3, 5]).double(), torch.tensor([1.0, 2, 3]).double())
    encoded = Encoded.of(followed)
    assert encoded.values.bits == 1
    assert torch.allclose(encoded.scale, code.scale * torch.tensor([2.0, -3, 5]))
    assert followed.bias.tolist() == [1, 2, 3]


def test_a_scale_for_each_output_of_a_sparse_code():
    grid = torch.rand(4, 30, generator=torch.Generator().manual_seed(0)) < 0.4
    grid[2] = False
    counts = grid.sum(1).tolist()
    code = Sparse(grid, (1, 1), indexed(counts, (sum(counts),)))
    folded = code.dense().clone()
    folded[:, :3] = 0
    weights = Weights.of(folded, torch.ones(4), code)
    assert set(weights.base.unique().tolist()) == {-1, 0, 1}
    assert torch.equal(weights.product(), folded)


@pytest.mark.parametrize("counts", [[120], [60, 60], [30, 50, 40]])
def test_other_scales_are_part_of_the_values(counts):
    code = indexed(counts, (3, 40))
    weights = Weights.of(code.dense(), None, code)
    assert torch.equal(weights.base, code.dense())
    assert weights.scale.unique().tolist() == [1]
    assert torch.equal(Weights.of(code.dense(), None, Dense(code.dense())).base, code.dense())


def test_an_output_of_factor_zero_keeps_no_weight():
    weights = plain(torch.ones(2, 50)).followed_by(torch.tensor([0.0, 2]).double(), torch.zeros(2).double())
    assert torch.equal(weights.product(), torch.tensor([0.0, 2])[:, None].expand(2, 50))
    assert Encoded.of(weights).form in ("bits", "all", "gaps")
