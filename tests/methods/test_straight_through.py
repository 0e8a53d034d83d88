"""Latent weights that learn by the gradients at their levels."""

import copy

import pytest
import torch
from torch import nn

import tighten as tt
from tighten.methods.straight_through import _scale_gradient

LEVELS = tt.Uniform(bits=2, zero=False)


def regression(n=256):
    """Targets of a layer whose weights are levels, and a layer that starts elsewhere."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(n, 6, generator=generator)
    wanted = torch.tensor([[1.0, -2.0, 2.0, -1.0, 1.0, 2.0]])
    model = nn.Sequential(nn.Linear(6, 1, bias=False))
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([[-0.2, -0.3, 0.1, 0.2, 0.3, -0.1]]))
    return model, x, x @ wanted.T, wanted


class Stop(Exception):
    pass


def train(model, x, y, stages, each=lambda session: None, session=None, optimizer=torch.optim.Adam, steps=16):
    session = session or tt.Session(model, stages, steps_per_epoch=steps)
    for stage in session:
        attached = optimizer(model.parameters(), lr=0.1)
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


def test_the_right_levels_and_scale_are_found():
    model, x, y, wanted = regression()
    train(model, x, y, [tt.Stage({"*": LEVELS}, tt.StraightThrough(scale_rate=0.1), 10)])
    torch.testing.assert_close(model[0].weight.detach(), wanted, atol=0.02, rtol=0)


def test_freezing_at_the_start_keeps_wrong_signs():
    model, x, y, wanted = regression()
    train(model, x, y, [tt.Stage({"*": LEVELS}, tt.Freeze(passes=1), 10)])
    assert float((model[0].weight.detach() - wanted).abs().max()) > 1


def test_weights_are_on_levels_after_every_step():
    model, x, y, _ = regression()
    seen = []

    def look(session):
        sizes = model[0].weight.detach().abs().unique()
        assert len(sizes) <= 2
        if len(sizes) == 2:
            torch.testing.assert_close(sizes[1], 2 * sizes[0])
        seen.append(sizes[0])

    train(model, x, y, [tt.Stage({"*": LEVELS}, tt.StraightThrough(), 2)], each=look)
    assert len(seen) == 32


@pytest.mark.parametrize("s", [LEVELS, tt.Ternary(per_channel=True), tt.Binary()], ids=str)
def test_the_gradient_of_a_scale_is_that_of_the_loss(s):
    latent = torch.randn(4, 6, dtype=torch.float64)
    gradient, code = torch.randn(4, 6, dtype=torch.float64), s.fit(latent)
    found = _scale_gradient(code, code.dense(), latent, gradient)
    for run, rows in enumerate(torch.arange(4).split(4 // len(code.scale))):
        grown = torch.zeros_like(latent)
        # The levels stay those of each entry, and V passes straight through: W = q t + (V - q V') with V' = V / q held.
        # Of two levels the scale decides nothing.
        inside = (not isinstance(s, tt.Binary)) & (latent.abs() < code.scale[run] * code.steps.max())
        grown[rows] = (code.dense() - torch.where(inside, latent, 0.0))[rows]
        torch.testing.assert_close(found[run], (gradient * grown).sum())


@pytest.mark.parametrize("per_channel", [False, True])
def test_the_gradient_of_a_scale_asks_the_support_only(per_channel):
    latent, gradient = torch.randn(4, 6, dtype=torch.float64), torch.randn(4, 6, dtype=torch.float64)
    code = (tt.Sparse(count=9) & tt.Uniform(bits=2, zero=False, per_channel=per_channel)).fit(latent)
    latent = latent * code.support
    found = _scale_gradient(code, code.dense(), latent, gradient)
    wanted = [found.new_zeros(1)] * len(found)
    for run, rows in enumerate(torch.arange(4).split(4 // len(found))):
        grown = code.dense() - latent * (latent.abs() < code.inner.scale[run] * code.inner.steps.max())
        wanted[run] = (gradient * grown)[rows].sum()
    torch.testing.assert_close(found, torch.stack(wanted))


@pytest.mark.parametrize("s", [tt.PowerOfTwo(bits=3), tt.Codebook(bits=2), tt.Ternary(per_channel=True)], ids=str)
def test_other_tables_keep_to_their_sets(s):
    model, x, y, _ = regression()
    before = float(nn.functional.mse_loss(model(x), y).detach())
    train(model, x, y, [tt.Stage({"*": s}, tt.StraightThrough(scale_rate=0.1), 6)])
    assert float(nn.functional.mse_loss(model(x), y).detach()) < 0.2 * before


def test_a_pruned_support_stays():
    model, x, y, _ = regression()
    pruned = tt.Stage({"*": tt.Sparse(count=3)}, tt.Masked(), 2)
    session = tt.Session(model, [pruned, tt.Stage({"*": LEVELS}, tt.StraightThrough(), 4)], steps_per_epoch=16)
    supports = []
    train(model, x, y, None, session=session, each=lambda _: supports.append(model[0].weight != 0))
    assert all(torch.equal(support, supports[0]) for support in supports)
    assert int(supports[0].sum()) == 3


def test_zeros_among_levels_come_and_go():
    model, x, y, _ = regression()
    with torch.no_grad():
        model[0].weight[0, 1] = 0.0
    train(model, x, y, [tt.Stage({"*": tt.Ternary()}, tt.StraightThrough(), 4)])
    assert model[0].weight[0, 1] < 0


@pytest.mark.parametrize(
    ("s", "unasked"), [(tt.Binary(), -1), (tt.Ternary(), 0), (tt.Sparse(count=10) & tt.Binary(), -1)], ids=str
)
def test_weights_that_the_loss_does_not_mind_lean(s, unasked):
    """To the sign that most have, or to zero; what the loss asks for stays."""
    model = nn.Sequential(nn.Linear(12, 1, bias=False))
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([[1.0] * 4 + [-0.4] * 7 + [0.4]]))
    x = torch.randn(256, 13, generator=torch.Generator().manual_seed(0)) * torch.tensor([1.0] * 4 + [0.0] * 8 + [1.0])
    x, y = x[:, :12], x.sum(1, keepdim=True)
    signs = model[0].weight.detach().sign()
    train(model, x, y, [tt.Stage({"*": s}, tt.StraightThrough(), 6)], optimizer=torch.optim.SGD)
    found = model[0].weight.detach().sign()
    assert torch.equal(found[found != 0], signs[found != 0])
    train(model, x, y, [tt.Stage({"*": s}, tt.StraightThrough(lean=0.5), 24)], optimizer=torch.optim.SGD)
    found = model[0].weight.detach().sign()
    assert found[0, :4].tolist() == [1] * 4
    assert set(found[0, 4:].tolist()) <= {unasked, 0}
    assert unasked in found[0, 4:]


def test_a_checkpoint_goes_on_to_the_same_weights():
    stages = [tt.Stage({"*": LEVELS}, tt.StraightThrough(lean=0.5), 3)]
    model, x, y, _ = regression()
    kept = []

    def stop(session):
        if next(iter(session)).start_epoch == 1:
            kept.append(copy.deepcopy((model.state_dict(), session.state_dict())))
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


def test_a_skipped_step_leaves_levels():
    model = regression()[0]
    session = tt.Session(model, [tt.Stage({"*": LEVELS}, tt.StraightThrough(), 1)], steps_per_epoch=4)
    stage, optimizer = next(iter(session)), torch.optim.Adam(model.parameters(), lr=0.1)
    before = model[0].weight.detach().clone()
    optimizer.found_inf = torch.tensor(1.0)
    stage.before_step(optimizer)
    assert not torch.equal(model[0].weight, before)
    stage.after_step(optimizer)
    assert torch.equal(model[0].weight, before)


def test_what_cannot_be_is_refused():
    model = regression()[0]
    stage = tt.Stage({"*": tt.Sparse() & LEVELS}, tt.StraightThrough(), 1, budget=tt.Budget(rate=2))
    with pytest.raises(tt.PlanError, match="prune in a stage before"):
        next(iter(tt.Session(model, [stage], steps_per_epoch=4)))
    stage = tt.Stage({"*": tt.Sparse(count=3)}, tt.StraightThrough(), 1)
    with pytest.raises(tt.PlanError, match="no levels"):
        next(iter(tt.Session(model, [stage], steps_per_epoch=4)))
    with pytest.raises(tt.PlanError, match="at least 1"):
        tt.StraightThrough(updates_per_epoch=0)
    with pytest.raises(tt.PlanError, match="no part of the learning rate"):
        tt.StraightThrough(lean=-0.05)
