"""Supports that trade entries while they train."""

import copy

import pytest
import torch
from torch import nn

import tighten as tt


def regression(seed=0, n=256):
    """Targets that hang on three of twelve inputs, and a layer whose support misses all three."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(n, 12, generator=generator)
    y = x[:, [1, 5, 7]] @ torch.tensor([[2.0], [-1.5], [1.0]])
    model = nn.Sequential(nn.Linear(12, 1))
    with torch.no_grad():
        model[0].weight.zero_()
        model[0].weight[0, [0, 2, 3]] = 0.1
    return model, x, y


def train(model, x, y, stages, steps=32, lr=0.05, stop=None):
    session = tt.Session(model, stages, steps_per_epoch=steps)
    generator = torch.Generator().manual_seed(1)
    for stage in session:
        optimizer = torch.optim.Adam(model.parameters(), lr=lr)
        scheduler = stage.scheduler(optimizer)
        with stage.attached(optimizer):
            for _ in range(stage.epochs * steps):
                batch = torch.randint(len(x), (32,), generator=generator)
                optimizer.zero_grad()
                nn.functional.mse_loss(model(x[batch]), y[batch]).backward()
                optimizer.step()
                scheduler.step()
    session.check()
    return session


def exchanging(**settings):
    return tt.Stage({"*": tt.Sparse()}, tt.Exchange(**settings), 8, budget=tt.Budget(weights=3))


def test_a_support_that_misses_what_matters_finds_it():
    model, x, y = regression()
    train(model, x, y, [exchanging(cycles=4, part=1.0)])
    assert model[0].weight[0].nonzero().flatten().tolist() == [1, 5, 7]
    torch.testing.assert_close(model[0].weight[0, [1, 5, 7]], torch.tensor([2.0, -1.5, 1.0]), atol=0.05, rtol=0)


def test_masked_retraining_does_not():
    model, x, y = regression()
    train(model, x, y, [tt.Stage({"*": tt.Sparse()}, tt.Masked(), 8, budget=tt.Budget(weights=3))])
    assert model[0].weight[0].nonzero().flatten().tolist() == [0, 2, 3]


def test_layers_trade_entries_within_one_budget():
    torch.manual_seed(0)
    model, x, y = nn.Sequential(nn.Linear(12, 6), nn.ReLU(), nn.Linear(6, 1)), *regression()[1:]
    plan = [
        tt.Stage({"*": tt.Sparse()}, tt.Masked(), 1, budget=tt.Budget(weights=24)),
        tt.Stage({"*": tt.Sparse()}, tt.Exchange(cycles=6, part=0.5), 8, budget=tt.Budget(weights=24)),
    ]
    session = train(model, x, y, plan)
    kept = [int((w != 0).sum()) for w in (model[0].weight, model[2].weight)]
    assert sum(kept) <= 24
    assert [session.codes[n].kept for n in ("0.weight", "2.weight")] >= kept


def test_supports_of_other_structure_are_kept():
    torch.manual_seed(0)
    model, x, y = nn.Sequential(nn.Linear(12, 4), nn.ReLU(), nn.Linear(4, 1)), *regression()[1:]
    start = tt.Stage({"0.weight": tt.NMSparse(1, 4)}, tt.Masked(), 1)
    end = tt.Stage({"0.weight": tt.NMSparse(1, 4)}, tt.Exchange(cycles=3, part=0.5), 4)
    train(model, x, y, [start, end])
    assert int((model[0].weight.view(4, 3, 4) != 0).sum(-1).max()) == 1


def test_the_support_is_held_in_the_rest():
    model, x, y = regression()
    session = tt.Session(model, [exchanging(cycles=2, part=1.0, rest=0.5)], steps_per_epoch=8)
    supports = []
    for stage in session:
        optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
        with stage.attached(optimizer) as solver:
            for _ in range(64):
                optimizer.zero_grad()
                nn.functional.mse_loss(model(x), y).backward()
                optimizer.step()
                supports.append(solver.state.codes["0.weight"].support.clone())
    sizes = [int(s.sum()) for s in supports]
    assert sizes[6:8] == [3, 6]  # 32 steps with four updates: it grows after the eighth
    assert sizes[15] == 3
    assert sizes[23] > 3
    assert all(torch.equal(s, supports[31]) for s in supports[31:])


def test_going_on_from_a_checkpoint_gives_the_same_numbers():
    def steps(model, optimizer, x, y, numbers):
        for number in numbers:
            part = x[number % 4 :: 4], y[number % 4 :: 4]
            optimizer.zero_grad()
            nn.functional.mse_loss(model(part[0]), part[1]).backward()
            optimizer.step()

    def begin():
        model, x, y = regression()
        session = tt.Session(model, [exchanging(cycles=4, part=1.0)], steps_per_epoch=4)
        return model, x, y, session, torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)

    model, x, y, session, optimizer = begin()
    with next(iter(session)).attached(optimizer):
        steps(model, optimizer, x, y, range(9))
        kept = copy.deepcopy((model.state_dict(), optimizer.state_dict())), session.state_dict()
        steps(model, optimizer, x, y, range(9, 32))
    undisturbed = model.state_dict()

    model, x, y, session, optimizer = begin()
    (weights, moments), at_work = kept
    model.load_state_dict(weights)
    optimizer.load_state_dict(moments)
    session.load_state_dict(at_work)
    with next(iter(session)).attached(optimizer):
        steps(model, optimizer, x, y, range(9, 32))
    for name, value in model.state_dict().items():
        assert torch.equal(value, undisturbed[name])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"cycles": 0}, "cycles=1 or more"),
        ({"part": 0.0}, "adds no entries"),
        ({"rest": 1.0}, "leaves room for cycles"),
    ],
)
def test_settings_that_make_no_sense_are_told(settings, message):
    with pytest.raises(tt.PlanError, match=message):
        tt.Exchange(**settings)


@pytest.mark.parametrize(
    ("constraint", "epochs", "message"),
    [
        (tt.Binary(), 8, "only single entries"),
        (tt.FilterSparse(count=1), 8, "only single entries"),
        (tt.Sparse(count=3), 1, "do not fit"),
    ],
)
def test_stages_that_cannot_be_are_told(constraint, epochs, message):
    model, x, y = regression()
    with pytest.raises(tt.PlanError, match=message):
        train(model, x, y, [tt.Stage({"0.weight": constraint}, tt.Exchange(cycles=24), epochs)])
