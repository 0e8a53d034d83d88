"""Pruning in which what is pruned keeps learning."""

import copy

import pytest
import torch
from torch import nn

import tighten as tt


def regression(n=256):
    """Targets that hang on three of twelve inputs, and a layer that starts with other weights large."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(n, 12, generator=generator)
    y = x[:, [1, 5, 7]] @ torch.tensor([[2.0], [-1.5], [1.0]])
    model = nn.Sequential(nn.Linear(12, 1))
    with torch.no_grad():
        model[0].bias.zero_()
        model[0].weight.fill_(0.1)
        model[0].weight[0, [0, 2, 3]] = 0.4
    return model, x, y


def train(model, x, y, stages, each=lambda session: None, session=None, steps=16, optimizer=torch.optim.Adam, lr=0.05):
    session = session or tt.Session(model, stages, steps_per_epoch=steps)
    for stage in session:
        attached = optimizer(model.parameters(), lr=lr)
        scheduler = stage.scheduler(attached)
        with stage.attached(attached):
            for step in range(stage.start_epoch * steps, stage.epochs * steps):
                batch = torch.arange(step * 32, (step + 1) * 32) % len(x)
                attached.zero_grad()
                nn.functional.mse_loss(model(x[batch]), y[batch]).backward()
                attached.step()
                scheduler.step()
                each(session)
    session.check()
    return session


def pruning(epochs=8, **settings):
    return tt.Stage({"*": tt.Sparse()}, tt.Feedback(**settings), epochs, budget=tt.Budget(weights=3))


@pytest.mark.parametrize("shrinking", [0.0, 0.5])
def test_what_was_pruned_first_comes_back(shrinking):
    model, x, y = regression()
    train(model, x, y, [pruning(epochs=16, shrinking=shrinking)])
    assert model[0].weight[0].nonzero().flatten().tolist() == [1, 5, 7]
    torch.testing.assert_close(model[0].weight[0, [1, 5, 7]], torch.tensor([2.0, -1.5, 1.0]), atol=0.1, rtol=0)


def test_a_support_that_does_not_move_keeps_what_was_large():
    model, x, y = regression()
    train(model, x, y, [pruning(shrinking=0.0, moving=0.0)])
    assert model[0].weight[0].nonzero().flatten().tolist() == [0, 2, 3]


@pytest.mark.parametrize("returning", [0.0, 0.1, 1.0])
def test_what_is_pruned_takes_a_part_of_a_step(returning):
    model, x, y = regression()
    stage = next(iter(tt.Session(model, [pruning(shrinking=0.0, returning=returning)], steps_per_epoch=4)))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    latent, kept = torch.full((12,), 0.1), torch.tensor([0, 2, 3])
    latent[kept] = 0.4
    nn.functional.mse_loss(model(x), y).backward()
    step = -0.1 * model[0].weight.grad[0]
    stage.before_step(optimizer)
    optimizer.step()
    stage.after_step(optimizer)
    stage.before_step(optimizer)  # the latent weights take their place
    pruned = torch.ones(12, dtype=torch.bool).index_fill(0, kept, False)
    torch.testing.assert_close(model[0].weight[0], latent + torch.where(pruned, returning * step, step))


def test_the_count_falls_like_a_cubic_and_then_rests():
    model, x, y = regression()
    kept, supports = [], []

    def look(_):
        supports.append(model[0].weight[0] != 0)
        kept.append(int(supports[-1].sum()))

    train(model, x, y, [pruning(epochs=4, updates_per_epoch=16, shrinking=0.5, moving=0.75)], each=look)
    assert kept[:32] == [3 + int(9 * (1 - step / 32) ** 3) for step in range(1, 33)]
    assert set(kept[32:]) == {3}
    assert all(torch.equal(support, supports[48]) for support in supports[48:])


def test_layers_share_one_budget():
    torch.manual_seed(0)
    model, (_, x, y) = nn.Sequential(nn.Linear(12, 6), nn.ReLU(), nn.Linear(6, 1)), regression()
    stage = tt.Stage({"*": tt.Sparse()}, tt.Feedback(), 8, budget=tt.Budget(weights=20))
    train(model, x, y, [stage])
    assert sum(int((model[i].weight != 0).sum()) for i in (0, 2)) == 20


def test_a_budget_may_be_in_bytes(tmp_path):
    torch.manual_seed(0)
    model, (_, x, y) = nn.Sequential(nn.Linear(12, 40), nn.ReLU(), nn.Linear(40, 1)), regression()
    stage = tt.Stage({"*": tt.Sparse()}, tt.Feedback(updates_per_epoch=2), 4, budget=tt.Budget(bytes=900))
    session = train(model, x, y, [stage])
    session.save(tmp_path / "net.tight")
    assert 850 < (tmp_path / "net.tight").stat().st_size <= 900


def test_filters_are_pruned_as_a_whole():
    torch.manual_seed(0)
    model, (_, x, y) = nn.Sequential(nn.Linear(12, 6), nn.ReLU(), nn.Linear(6, 1)), regression()
    train(model, x, y, [tt.Stage({"0.weight": tt.FilterSparse(density=0.5)}, tt.Feedback(), 4)])
    assert (model[0].weight != 0).any(1).sum() == 3


def test_supports_of_earlier_stages_are_kept_to():
    model, x, y = regression()
    first = tt.Stage({"*": tt.Sparse(count=6)}, tt.Masked(), 1)
    supports = []
    train(model, x, y, [first, pruning()], each=lambda _: supports.append(model[0].weight != 0))
    assert not (supports[-1] & ~supports[0]).any()


def test_a_checkpoint_goes_on_to_the_same_weights():
    stages = [pruning(4)]
    model, x, y = regression()
    kept = []

    class Stop(Exception):
        pass

    def stop(session):
        if next(iter(session)).start_epoch == 2:
            kept.append((copy.deepcopy(model.state_dict()), copy.deepcopy(session.state_dict())))
            raise Stop

    with pytest.raises(Stop):
        train(model, x, y, stages, optimizer=torch.optim.SGD, each=stop)
    again = regression()[0]
    again.load_state_dict(kept[0][0])
    session = tt.Session(again, stages, steps_per_epoch=16)
    session.load_state_dict(kept[0][1])
    train(again, x, y, stages, optimizer=torch.optim.SGD, session=session)
    straight = regression()[0]
    train(straight, x, y, stages, optimizer=torch.optim.SGD)
    assert torch.equal(again[0].weight, straight[0].weight)


def test_a_skipped_step_leaves_the_pruned_weights():
    model = regression()[0]
    stage = next(iter(tt.Session(model, [pruning(shrinking=0.0)], steps_per_epoch=4)))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
    before = model[0].weight.detach().clone()
    optimizer.found_inf = torch.tensor(1.0)
    stage.before_step(optimizer)
    assert int((model[0].weight != 0).sum()) == 12
    stage.after_step(optimizer)
    assert torch.equal(model[0].weight, before)
    assert int((before != 0).sum()) == 3


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"shrinking": 0.8, "moving": 0.5}, "while it shrinks"),
        ({"moving": 1.5}, "while it shrinks"),
        ({"updates_per_epoch": 0}, "at least 1"),
        ({"returning": 1.5}, "a part of each step"),
    ],
)
def test_settings_that_make_no_sense_are_told(settings, message):
    with pytest.raises(tt.PlanError, match=message):
        tt.Feedback(**settings)


def test_sets_without_a_count_are_refused():
    stage = tt.Stage({"*": tt.Binary()}, tt.Feedback(), 1)
    with pytest.raises(tt.PlanError, match="no count"):
        next(iter(tt.Session(regression()[0], [stage], steps_per_epoch=4)))
