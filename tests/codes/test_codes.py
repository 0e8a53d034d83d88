"""Each form of code against plain loops."""

import itertools
import math

import pytest
import torch

from tighten.codes import Dense, Indexed, Sparse, expand, from_plain, refit, snap, to_plain


def indexed(shape, steps, scale, counts, seed=0):
    generator = torch.Generator().manual_seed(seed)
    index = torch.randint(len(steps), shape, generator=generator, dtype=torch.uint8)
    return Indexed(index, torch.tensor(steps), torch.tensor(scale), torch.tensor(counts))


def same(a, b):
    return a.dtype == b.dtype and torch.equal(a, b)


def test_indexed_is_scale_times_step_run_by_run():
    code = indexed((3, 4), [-1.0, 0.5, 2.0], [0.1, 10.0, 3.0], [4, 4, 4])
    for row, column in itertools.product(range(3), range(4)):
        expected = code.scale[row] * code.steps[int(code.index[row, column])]
        assert code.dense()[row, column] == expected
    assert code.bits() == 12 * 2 + 32 * (3 + 3)


def test_runs_may_have_any_length_also_none():
    code = indexed((6,), [1.0, -1.0], [1.0, 5.0, 7.0], [2, 0, 4])
    assert code.dense().abs().tolist() == [1.0, 1.0, 7.0, 7.0, 7.0, 7.0]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16])
def test_nearest_is_nearest_among_all_levels(dtype):
    generator = torch.Generator().manual_seed(1)
    steps = torch.tensor([2.0, -1.0, 0.0, 0.25], dtype=dtype)  # in no order
    scale = torch.tensor([0.5, 3.0], dtype=dtype)
    code = Indexed(torch.zeros(2, 50, dtype=torch.uint8), steps, scale, torch.tensor([50, 50]))
    x = (torch.randn(2, 50, generator=generator) * 2).to(dtype)
    found = code.nearest(x)
    levels = scale.double()[:, None, None] * steps.double()
    best = (x.double()[:, :, None] - levels).abs().min(2).values
    torch.testing.assert_close((x.double() - found.dense().double()).abs(), best, rtol=1e-2, atol=1e-2)
    assert found.index.dtype == torch.uint8
    assert same(found.nearest(found.dense()).dense(), found.dense())


def test_nearest_with_a_scale_of_zero_gives_zero():
    code = Indexed(torch.zeros(3, dtype=torch.uint8), torch.tensor([-1.0, 1.0]), torch.tensor([0.0]), torch.tensor([3]))
    assert not code.nearest(torch.tensor([1.0, -2.0, 0.0])).dense().any()


def test_sparse_puts_kept_entries_in_row_major_order():
    grid = torch.tensor([[True, False], [False, True]])
    code = Sparse(grid, (2, 1), Dense(torch.arange(1.0, 5.0)))
    expected = torch.tensor([[1.0, 0.0], [2.0, 0.0], [0.0, 3.0], [0.0, 4.0]])
    assert same(code.dense(), expected)
    assert code.shape == (4, 2)
    assert code.kept == 4
    assert torch.equal(code.support, expected != 0)
    assert code.bits() == pytest.approx(4 * 32 + math.log2(math.comb(4, 2)))


def test_expand_repeats_each_unit():
    grid = torch.tensor([[True, False]])
    assert expand(grid, (2, 3)).tolist() == [[True] * 3 + [False] * 3] * 2


def test_refit_keeps_support_and_tables():
    code = Sparse(torch.tensor([True, False, True]), (1,), indexed((2,), [-1.0, 1.0], [0.5], [2]))
    found = refit(code, torch.tensor([-9.0, 7.0, 0.1]))
    assert found.dense().tolist() == [-0.5, 0.0, 0.5]
    free = refit(Sparse(code.grid, (1,), Dense(torch.ones(2))), torch.tensor([3.0, 4.0, 5.0]))
    assert free.dense().tolist() == [3.0, 0.0, 5.0]
    source = torch.ones(2)
    copied = refit(Dense(torch.zeros(2)), source)
    source.add_(1)
    assert copied.dense().tolist() == [1.0, 1.0]


TABLES = {
    "binary": [1.0, -1.0],
    "ternary": [-1.0, 0.0, 1.0],
    "halves": [-1.5, -0.5, 0.5, 1.5],
    "zero and lopsided": [-4.0, -3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0],
    "no zero": [-2.0, -1.0, 1.0, 2.0],
    "powers": [-1.0, -0.5, -0.25, 0.25, 0.5, 1.0],
    "free": [0.1, -0.7, 0.3, 0.35],
    "one": [1.0],
}


@pytest.mark.parametrize("runs", [1, 3])
@pytest.mark.parametrize("steps", TABLES.values(), ids=TABLES)
def test_snapping_is_refitting(steps, runs):
    generator = torch.Generator().manual_seed(2)
    x = torch.randn(3, 400, generator=generator)
    x[0, :3] = torch.tensor([0.0, 1e30, -1e30])
    scale = torch.tensor([0.3, 0.0, 1.7][:runs])
    full = Indexed(
        torch.zeros_like(x, dtype=torch.uint8), torch.tensor(steps), scale, torch.tensor([1200 // runs] * runs)
    )
    assert same(snap(full, x) + 0, refit(full, x).dense() + 0)  # no minus zeros
    grid = torch.rand(x.shape, generator=generator) < 0.2
    counts = grid.view(runs, -1).sum(1)
    sparse = Sparse(grid, (1, 1), Indexed(torch.zeros(int(grid.sum()), dtype=torch.uint8), full.steps, scale, counts))
    assert same(snap(sparse, x) + 0, refit(sparse, x).dense() + 0)


@pytest.mark.parametrize("unit", [(1, 1, 1, 1), (1, 2, 3, 3)])
def test_snapping_keeps_to_units_and_layouts(unit):
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(4, 6, 3, 3, generator=generator).contiguous(memory_format=torch.channels_last)
    grid = torch.rand([n // u for n, u in zip(x.shape, unit, strict=True)], generator=generator) < 0.5
    kept = int(expand(grid, unit).sum())
    code = Sparse(grid, unit, indexed((kept,), [-1.0, 1.0], [0.5], [kept]))
    assert torch.equal(x.take(code.places), x[code.support])
    assert same(snap(code, x), refit(code, x).dense())


def test_the_places_of_a_grid_follow_its_unit():
    grid = torch.tensor([[True, False]])
    assert Sparse(grid, (1, 1), Dense(torch.ones(1))).places.tolist() == [0]
    assert Sparse(grid, (1, 2), Dense(torch.ones(2))).places.tolist() == [0, 1]
    assert Sparse(grid, (1, 1), Dense(torch.ones(1))).places.tolist() == [0]


def test_snapping_a_dense_code_copies():
    x = torch.randn(3)
    found = snap(Dense(torch.zeros(3)), x)
    assert same(found, x)
    assert found is not x


@pytest.mark.parametrize(
    "code",
    [
        Dense(torch.randn(2, 3)),
        indexed((2, 3), [-1.0, 1.0], [0.5, 2.0], [3, 3]),
        Sparse(torch.tensor([[True, False]]), (2, 2), Dense(torch.randn(4))),
        Sparse(torch.tensor([True, False, True]), (1,), indexed((2,), [1.0, 2.0], [0.5], [2])),
    ],
)
def test_plain_data_survives_a_checkpoint(code, tmp_path):
    torch.save(to_plain(code), tmp_path / "code.pt")
    again = from_plain(torch.load(tmp_path / "code.pt", weights_only=True))
    assert type(again) is type(code)
    assert again.shape == code.shape
    assert same(again.dense(), code.dense())
    assert again.bits() == code.bits()
