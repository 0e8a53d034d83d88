"""The pull, the dual update and the held sets, against plain references."""

import itertools

import pytest
import torch
from torch import nn

import tighten as tt
from tighten.schedules import Clock
from tighten.solver import Solver


def net(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3))


def solver_of(model, sets, method, epochs=2, steps=4, **stage):
    return Solver(model, tt.Stage(sets, method, epochs, **stage), {}, {}, Clock(epochs, steps))


def batches(n, seed=1):
    generator = torch.Generator().manual_seed(seed)
    return [(torch.randn(8, 6, generator=generator), torch.randint(3, (8,), generator=generator)) for _ in range(n)]


def loss_of(model, batch):
    return nn.functional.cross_entropy(model(batch[0]), batch[1])


def test_gradient_of_the_penalty_is_the_pull():
    model = net()
    solver = solver_of(model, {"0.weight": tt.Sparse(count=4)}, tt.Admm(rho=0.3, rho_end=0.3, updates_per_epoch=4))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for batch in batches(3):
        optimizer.zero_grad()
        loss_of(model, batch).backward()
        solver.before_step()
        optimizer.step()
        solver.after_step()
    w = model[0].weight
    z = solver.state.point("0.weight").dense()
    u = z - solver.state.targets["0.weight"]
    assert u.abs().max() > 0
    (gradient,) = torch.autograd.grad(solver.penalty(), w)
    torch.testing.assert_close(gradient, 0.3 * (w - z + u).detach())
    model.zero_grad()
    w.grad = torch.zeros_like(w)
    solver.before_step()
    torch.testing.assert_close(w.grad, gradient)


@pytest.mark.parametrize(
    "make",
    [
        lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=1e-2),
        lambda p: torch.optim.Adam(p, lr=1e-2, weight_decay=1e-2),
        lambda p: torch.optim.AdamW(p, lr=1e-2, foreach=False),
    ],
    ids=["sgd", "adam", "adamw"],
)
def test_attached_and_penalty_in_the_loss_give_the_same_numbers(make):
    stages = [
        tt.Stage({"*": tt.Sparse()}, tt.Admm(rho=0.05, rho_end=1.0), 2, budget=tt.Budget(weights=20)),
        tt.Stage({}, tt.Masked(), 1),
    ]
    results = []
    for teaching in (False, True):
        model = net()
        for stage in tt.Session(model, stages, steps_per_epoch=6):
            optimizer = make(model.parameters())
            if teaching:
                for batch in batches(6) * stage.epochs:
                    optimizer.zero_grad()
                    (loss_of(model, batch) + stage.solver.penalty()).backward()
                    optimizer.step()
                    stage.solver.after_step()
                stage.finish()
            else:
                with stage.attached(optimizer):
                    for batch in batches(6) * stage.epochs:
                        optimizer.zero_grad()
                        loss_of(model, batch).backward()
                        optimizer.step()
        results.append(model.state_dict())
    for name in results[0]:
        torch.testing.assert_close(results[0][name], results[1][name], rtol=1e-4, atol=1e-6)


def test_dual_update_and_growth_follow_the_textbook():
    """V = Z - U against three separate buffers, rho growing, the scaled dual divided by the growth."""
    model = net()
    method = tt.Admm(rho=0.1, rho_end=0.8, updates_per_epoch=2)
    solver = solver_of(model, {"0.weight": tt.Ternary()}, method, epochs=2, steps=4)
    w = model[0].weight
    z, u, rho = tt.Ternary().project(w.detach()), torch.zeros_like(w), 0.1
    generator = torch.Generator().manual_seed(3)
    for step in range(1, 9):
        with torch.no_grad():
            w.add_(torch.randn(w.shape, generator=generator), alpha=0.1)
        solver.after_step()
        if step % 2 == 0:
            growth = 2.0 if step < 8 else 1.0
            total = w.detach() + u
            z = tt.Ternary().project(total)
            u = (total - z) / growth
            rho *= growth
        torch.testing.assert_close(solver.state.targets["0.weight"], z - u, rtol=1e-5, atol=1e-6)
        assert solver.state.rho == pytest.approx(rho)
    assert solver.state.rho == pytest.approx(0.8)
    expected = (w.detach() - z).norm() / w.detach().norm()
    assert solver.state.primal["0.weight"] == pytest.approx(float(expected), rel=1e-5)


@pytest.mark.parametrize("seed", range(4))
def test_admm_is_near_the_best_support_of_a_quadratic(seed):
    """min (w-t)' A (w-t) with at most 3 of 9 entries: every support tried, and one-shot pruning beaten or met."""
    generator = torch.Generator().manual_seed(seed)
    b = torch.randn(9, 9, generator=generator)
    a, t = b @ b.T / 9 + 0.1 * torch.eye(9), torch.randn(9, generator=generator)

    def cost(w):
        return float((w - t) @ a @ (w - t))

    def best_on(keep):
        w = torch.zeros(9)
        index = torch.tensor(keep)
        w[index] = torch.linalg.solve(a[index][:, index], (a @ t)[index])
        return cost(w)

    optimum = min(best_on(list(keep)) for keep in itertools.combinations(range(9), 3))
    model = nn.ParameterDict({"w": nn.Parameter(t.clone().view(1, 9))})
    stages = [tt.Stage({"w": tt.Sparse(count=3)}, tt.Admm(rho=0.05, rho_end=20.0), 30), tt.Stage({}, tt.Masked(), 30)]
    for stage in tt.Session(model, stages, steps_per_epoch=20):
        optimizer = torch.optim.SGD(model.parameters(), lr=0.02)
        with stage.attached(optimizer):
            for _ in range(stage.epochs * 20):
                optimizer.zero_grad()
                w = model["w"].view(9)
                ((w - t) @ a @ (w - t)).backward()
                optimizer.step()
    found = cost(model["w"].detach().view(9))
    one_shot = best_on(t.abs().topk(3).indices.tolist())
    assert int((model["w"] != 0).sum()) == 3
    assert found <= min(one_shot, 1.35 * optimum) + 1e-3


def wrong_first_support(regrow):
    """A quadratic whose first stage prunes entry 0, the one that matters after its target moves; kept at the end."""
    model = nn.ParameterDict({"w": nn.Parameter(torch.tensor([[0.1, 1.0, 0.9]]))})
    admm = tt.Admm(rho=0.05, rho_end=20.0, regrow=regrow)
    stages = [
        tt.Stage({"w": tt.Sparse(count=2)}, tt.Masked(), 1),
        tt.Stage({"w": tt.Sparse(count=1)}, admm, 10),
        tt.Stage({}, tt.Masked(), 10),
    ]
    target = torch.tensor([[3.0, 1.0, 0.9]])
    for stage in tt.Session(model, stages, steps_per_epoch=20):
        optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
        with stage.attached(optimizer):
            for _ in range(stage.epochs * 20):
                optimizer.zero_grad()
                (model["w"] - target).square().sum().backward()
                optimizer.step()
    return (model["w"][0] != 0).tolist()


def test_pruned_entries_come_back_only_where_asked():
    assert wrong_first_support(regrow=False) == [False, True, False]
    assert wrong_first_support(regrow=True) == [True, False, False]


def test_a_stage_converges_when_the_residual_of_every_site_is_low():
    model = net()
    stages = [tt.Stage({"*": tt.Sparse(density=0.3)}, tt.Admm(rho=0.1, rho_end=10.0, until=0.05), 40)]
    for stage in tt.Session(model, stages, steps_per_epoch=6):
        assert not stage.converged
        optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
        with stage.attached(optimizer) as solver:
            residuals = []
            while not stage.converged and len(residuals) < stage.epochs:
                for batch in batches(6):
                    optimizer.zero_grad()
                    loss_of(model, batch).backward()
                    optimizer.step()
                residuals.append(max(solver.state.primal.values()))
    assert 1 < len(residuals) < 40
    assert residuals[-1] < 0.05 <= min(residuals[:-1])
    assert stage.finished
    with pytest.raises(tt.TightenError, match="until=-1"):
        tt.Admm(until=-1)


def test_momentum_and_weight_decay_do_not_bring_zeros_back():
    model = net()
    stages = [tt.Stage({"*": tt.Sparse(density=0.2)}, tt.Masked(), 2)]
    for stage in tt.Session(model, stages, steps_per_epoch=5):
        optimizer = torch.optim.SGD(model.parameters(), lr=0.5, momentum=0.9, weight_decay=0.1)
        with stage.attached(optimizer) as solver:
            support = solver.state.codes["0.weight"].support.clone()
            for batch in batches(10):
                optimizer.zero_grad()
                loss_of(model, batch).backward()
                optimizer.step()
                assert not model[0].weight[~support].any()
    assert torch.equal(model[0].weight != 0, support)


def test_supports_are_nested_between_stages():
    model = net()
    stages = [
        tt.Stage({"*": tt.Sparse()}, tt.Admm(rho_end=1.0), 2, budget=tt.Budget(weights=30)),
        tt.Stage({"*": tt.Sparse()}, tt.Admm(rho_end=1.0), 2, budget=tt.Budget(weights=12)),
        tt.Stage({"*": tt.Binary()}, tt.Admm(rho_end=1.0), 2),
    ]
    session, supports = tt.Session(model, stages, steps_per_epoch=6), []
    for stage in session:
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
        with stage.attached(optimizer):
            for batch in batches(6) * stage.epochs:
                optimizer.zero_grad()
                loss_of(model, batch).backward()
                optimizer.step()
        supports.append(torch.cat([(model[i].weight != 0).flatten() for i in (0, 2)]))
    assert [int(s.sum()) for s in supports[:2]] == [30, 12]
    assert int(supports[2].sum()) <= 12
    assert not (supports[1] & ~supports[0]).any()
    assert not (supports[2] & ~supports[1]).any()
    for layer in (model[0], model[2]):
        assert len(layer.weight.detach().abs().unique()) <= 2  # zero, kept apart, and one magnitude


def test_freezing_goes_in_passes_and_frozen_entries_stay():
    model = net()
    stages = [
        tt.Stage({"0.weight": tt.Uniform(bits=2)}, tt.Admm(rho=1e-2, rho_end=0.1, commit=False), 1),
        tt.Stage({"0.weight": tt.Uniform(bits=2)}, tt.Freeze(passes=3), 3),
    ]
    session, frozen = tt.Session(model, stages, steps_per_epoch=4), []
    for stage in session:
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
        with stage.attached(optimizer) as solver:
            for batch in batches(4) * stage.epochs:
                if stage.index == 1:
                    fixed = solver.state.fixed["0.weight"]
                    frozen.append((int(fixed.sum()), model[0].weight.detach().clone(), fixed))
                optimizer.zero_grad()
                loss_of(model, batch).backward()
                optimizer.step()
    assert [count for count, _, _ in frozen] == [10] * 4 + [20] * 4 + [30] * 4
    final = model[0].weight.detach()
    for _, weight, fixed in frozen:
        assert torch.equal(weight[fixed], final[fixed])
    assert len(final.unique()) <= 3
    session.check()


def test_passes_inside_a_support_do_not_count_the_zeros():
    model = net()
    stages = [
        tt.Stage({"0.weight": tt.Sparse(count=10)}, tt.Masked(), 1),
        tt.Stage({"0.weight": tt.Codebook(bits=1)}, tt.Freeze(passes=2), 2),
    ]
    for stage in tt.Session(model, stages, steps_per_epoch=3):
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
        with stage.attached(optimizer) as solver:
            if stage.index == 1:
                assert int(solver.state.fixed["0.weight"].sum()) == 20 + 5
            for batch in batches(3) * stage.epochs:
                optimizer.zero_grad()
                loss_of(model, batch).backward()
                optimizer.step()
    assert int((model[0].weight != 0).sum()) <= 10
    assert len(model[0].weight.detach().unique()) <= 3


def test_quantized_sites_of_an_earlier_stage_do_not_move():
    model = net()
    stages = [tt.Stage({"0.weight": tt.Binary()}, tt.Masked(), 1), tt.Stage({"2.weight": tt.Ternary()}, tt.Masked(), 1)]
    session = tt.Session(model, stages, steps_per_epoch=3)
    seen = []
    for stage in session:
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-1)
        with stage.attached(optimizer):
            for batch in batches(3):
                optimizer.zero_grad()
                loss_of(model, batch).backward()
                optimizer.step()
        seen.append(model[0].weight.detach().clone())
    assert torch.equal(seen[0], seen[1])
    assert {name: len(model.get_parameter(name).unique()) for name in ("0.weight", "2.weight")} == {
        "0.weight": 2,
        "2.weight": 3,
    }


def test_scaled_gradients_of_a_fused_optimizer_get_a_scaled_pull_and_an_overflow_is_no_step():
    """What GradScaler does with fused optimizers: gradients stay scaled, an overflow skips the update inside."""
    model = net()
    stage = tt.Stage({"0.weight": tt.Sparse(count=4)}, tt.Admm(rho=0.5, rho_end=0.5), 1)
    active = next(iter(tt.Session(model, [stage], steps_per_epoch=2)))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)
    optimizer.grad_scale = torch.tensor(8.0)
    optimizer.found_inf = torch.tensor(1.0)
    with active.attached(optimizer) as solver:
        w = model[0].weight
        pull = 0.5 * (w - solver.state.targets["0.weight"]).detach()
        w.grad = torch.zeros_like(w)
        optimizer.step()
        torch.testing.assert_close(w.grad, 8 * pull)
        assert solver.state.step == 0
        w.grad = torch.zeros_like(w)
        optimizer.found_inf = torch.tensor(0.0)
        optimizer.step()
        assert solver.state.step == 1
        torch.testing.assert_close(optimizer.state[w]["exp_avg"], 0.1 * pull)
        del optimizer.grad_scale, optimizer.found_inf
