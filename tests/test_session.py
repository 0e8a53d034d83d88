"""Sessions in the user's loop: order, resume, promises, and every way to get it wrong."""

import io
import math

import pytest
import torch
from torch import nn

import tighten as tt


def net(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3))


def batch(step):
    generator = torch.Generator().manual_seed(step)
    return torch.randn(8, 6, generator=generator), torch.randint(3, (8,), generator=generator)


def train(model, optimizer, step):
    x, y = batch(step)
    optimizer.zero_grad()
    nn.functional.cross_entropy(model(x), y).backward()
    optimizer.step()


def plan():
    return [
        tt.Stage({"*": tt.Sparse()}, tt.Admm(rho_end=1.0), 3, budget=tt.Budget(rate=3)),
        tt.Stage({}, tt.Masked(), 2),
        tt.Stage({"0.weight": tt.Uniform(bits=2, zero=False)}, tt.Admm(rho_end=1.0, commit=False), 2),
        tt.Stage({"0.weight": tt.Uniform(bits=2, zero=False)}, tt.Freeze(passes=2), 2),
    ]


STEPS = 4


def carry_out(model, stop_after=None, saved=None):
    """All epochs, or those up to `stop_after`; gives the checkpoint at that point."""
    session, epochs = tt.Session(model, plan(), steps_per_epoch=STEPS), 0
    pending = None
    if saved is not None:
        state = torch.load(io.BytesIO(saved), weights_only=True)
        model.load_state_dict(state["model"])
        session.load_state_dict(state["session"])
        pending, epochs = state["optimizer"], state["epochs"]
    for stage in session:
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
        if pending is not None:
            optimizer.load_state_dict(pending)
            pending = None
        with stage.attached(optimizer):
            for epoch in range(stage.start_epoch, stage.epochs):
                for i in range(STEPS):
                    train(model, optimizer, 10 * epochs + i)
                epochs += 1
                if epochs == stop_after and epoch + 1 < stage.epochs:
                    buffer = io.BytesIO()
                    inside = {"model": model.state_dict(), "session": session.state_dict(), "epochs": epochs}
                    torch.save({**inside, "optimizer": optimizer.state_dict()}, buffer)
                    return session, buffer.getvalue()
    return session, None


@pytest.mark.parametrize("stop_after", [1, 2, 4, 6, 8])
def test_resume_gives_the_same_bits(stop_after):
    whole = net()
    done, _ = carry_out(whole)
    first = net()
    _, saved = carry_out(first, stop_after)
    assert saved is not None
    second = net(seed=99)
    resumed, _ = carry_out(second, saved=saved)
    for name, tensor in whole.state_dict().items():
        assert torch.equal(tensor, second.state_dict()[name])
    assert done.artifact().to_bytes() == resumed.artifact().to_bytes()


def test_promises_survive_the_file(tmp_path):
    model = net()
    session, _ = carry_out(model)
    sizes = session.save(tmp_path / "net.tight", {"model": "somewhere:Net"})
    assert sizes.total == (tmp_path / "net.tight").stat().st_size
    other = net(seed=5)
    artifact = tt.load(tmp_path / "net.tight", other)
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, other.state_dict()[name])
    assert sum(int((model[i].weight != 0).sum()) for i in (0, 2)) == math.floor(45 / 3)
    assert len(model[0].weight.detach().unique()) <= 5
    assert artifact.meta["model"] == "somewhere:Net"
    report = session.report()
    assert report.kept == 15
    assert report.weights == 45
    assert report.rate == pytest.approx(3.0)
    assert report.biases == 8
    assert report.dense_bytes == (45 + 8) * 4
    assert "0.weight" in str(report)


def test_a_weight_changed_after_its_stage_is_found(tmp_path):
    model = net()
    session, _ = carry_out(model)
    with torch.no_grad():
        model[0].weight[0, 0] += 1.0
    with pytest.raises(tt.ConstraintError, match=r"'0\.weight' was changed after its stage"):
        session.save(tmp_path / "net.tight")
    assert not list(tmp_path.iterdir())


def test_nothing_is_saved_before_there_is_something_to_promise(tmp_path):
    model = net()
    session = tt.Session(model, plan()[2:], steps_per_epoch=1)
    with pytest.raises(tt.PlanError, match="nothing is constrained yet"):
        session.save(tmp_path / "net.tight")
    stage = next(iter(session))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    with stage.attached(optimizer):
        train(model, optimizer, 0)
    with pytest.raises(tt.ConstraintError, match="carry out the next stage"):
        session.save(tmp_path / "net.tight")
    assert not list(tmp_path.iterdir())


def first_stage(model, stages=None):
    return next(iter(tt.Session(model, stages or plan(), steps_per_epoch=STEPS)))


def test_an_optimizer_without_the_parameters_is_refused():
    model = net()
    stage = first_stage(model)
    strange = torch.optim.Adam(net().parameters(), lr=1e-2)
    with pytest.raises(tt.TrainingError, match=r"does not hold '0\.weight'"), stage.attached(strange):
        pass


def test_a_closure_is_refused_with_the_way_out():
    model = net()
    stage = first_stage(model)
    optimizer = torch.optim.LBFGS(model.parameters())
    with pytest.raises(tt.TrainingError, match="without a closure"), stage.attached(optimizer):
        optimizer.step(lambda: torch.zeros(()))


def test_a_stage_without_a_step_is_an_error():
    model = net()
    stage = first_stage(model)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    with pytest.raises(tt.TrainingError, match="no optimizer step"), stage.attached(optimizer):
        pass


def test_a_stage_that_is_passed_over_is_an_error():
    session = tt.Session(net(), plan(), steps_per_epoch=STEPS)
    with pytest.raises(tt.PlanError, match="before it was trained"):
        list(session)


def test_an_error_in_the_loop_leaves_the_stage_open_and_the_optimizer_plain():
    model = net()
    session = tt.Session(model, plan(), steps_per_epoch=STEPS)
    stage = next(iter(session))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)

    def fail():
        train(model, optimizer, 0)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), stage.attached(optimizer):
        fail()
    assert not stage.finished
    assert session.done == 0
    train(model, optimizer, 1)
    assert stage.solver.state.step == 1


def test_weights_that_are_not_finite_are_named():
    model = net()
    with torch.no_grad():
        model[2].weight[0, 0] = math.nan
    with pytest.raises(tt.TrainingError, match=r"'2\.weight' holds NaN"):
        first_stage(model)


def test_weights_that_explode_in_training_are_named():
    model = net()
    stage = first_stage(model)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-2)

    def explode():
        for i in range(STEPS):
            train(model, optimizer, i)
            with torch.no_grad():
                model[0].weight[0, 0] = math.inf

    with pytest.raises(tt.TrainingError, match=r"'0\.weight' holds NaN or infinite"), stage.attached(optimizer):
        explode()


def test_a_frozen_parameter_is_refused():
    model = net()
    model[0].weight.requires_grad_(False)
    with pytest.raises(tt.PlanError, match="requires_grad"):
        tt.Session(model, plan(), steps_per_epoch=STEPS)


def test_a_pattern_that_matches_nothing_names_the_nearest():
    with pytest.raises(tt.PlanError, match=r"'0\.wieght' matches no parameter.*did you mean '0\.weight'"):
        tt.Session(net(), [tt.Stage({"0.wieght": tt.Binary()}, tt.Masked(), 1)], steps_per_epoch=STEPS)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: [], "at least one stage"),
        (lambda: [tt.Stage({"*": tt.Binary()}, tt.Admm(commit=False), 1)], "outside their sets"),
        (lambda: [tt.Stage({"*": tt.Binary()}, tt.Admm(), 0)], "0 epochs"),
        (lambda: [tt.Stage({"*": tt.Sparse()}, tt.Admm(), 1)], "no budget"),
        (lambda: [tt.Stage({"*": tt.Binary()}, tt.Admm(), 1, budget=tt.Budget(rate=2))], "no set is open"),
        (lambda: [tt.Stage({"*": tt.Sparse()}, tt.Admm(), 1, budget=tt.Budget(weights=46))], "46 of 45"),
        (lambda: [tt.Stage({"*": tt.Sparse(count=31)}, tt.Admm(), 1)], "31"),
        (lambda: [tt.Stage({"*": tt.NMSparse(2, 4)}, tt.Admm(), 1)], "4"),
        (lambda: [tt.Stage({"*": tt.Binary()}, tt.Freeze(passes=9), 2)], "9 passes"),
        (lambda: [tt.Stage({"*": tt.Binary()}, tt.Admm(rho=1.0, rho_end=0.5), 1)], "rho"),
    ],
)
def test_plans_that_cannot_be_say_why(make, message):
    with pytest.raises(tt.TightenError, match=message):
        next(iter(tt.Session(net(), make(), steps_per_epoch=STEPS)))


@pytest.mark.parametrize(
    ("late", "message"),
    [
        (tt.Stage({"0.weight": tt.NMSparse(n=2, m=4)}, tt.Masked(), 1), "4"),
        (tt.Stage({"*": tt.Sparse()}, tt.Masked(), 1, budget=tt.Budget(weights=46)), "46 of 45"),
        (tt.Stage({"3.weight": tt.Binary()}, tt.Masked(), 1), "matches no parameter"),
    ],
)
def test_a_late_stage_that_cannot_be_is_found_before_any_training(late, message):
    with pytest.raises(tt.TightenError, match=message):
        tt.Session(net(), [*plan(), late], steps_per_epoch=STEPS)


@pytest.mark.parametrize(
    ("shares", "message"),
    [
        ({"0.weight": 15, "2.weight": 0}, r"nothing of '2\.weight'"),
        ({"0.weight": 15, "2.weight": 1}, "16 weights of a"),
    ],
)
def test_an_allocation_rule_of_ones_own_is_held_to_its_budget(shares, message):
    stage = tt.Stage(
        {"*": tt.Sparse()}, tt.Masked(), 1, budget=tt.Budget(weights=15), allocate=lambda found, count: shares
    )
    with pytest.raises(tt.PlanError, match=message):
        first_stage(net(), [stage])


def test_the_model_keeps_its_class_names_and_plain_state():
    model = net()
    names = list(model.state_dict())
    carry_out(model)
    assert type(model) is nn.Sequential
    assert list(model.state_dict()) == names
    assert type(model[0].weight) is nn.Parameter
    assert not model[0]._forward_hooks


def test_progressive_builds_the_steps_of_the_paper():
    plan = tt.progressive(rates=(1.5 * 167, 3 * 167), bits=3, epochs=4, retrain=2)
    assert [str(s) for s in plan] == [
        "prune 250.5x", "retrain 250.5x", "prune 501x", "retrain 501x",
        "quantize inner", "freeze inner", "quantize ends", "freeze ends",
    ]  # fmt: skip
    assert plan.epochs == 4 * (4 + 2)
    assert [s.budget.rate for s in plan if s.budget] == [250.5, 501]
    geometric = tt.progressive(rate=27, steps=3)
    assert [round(s.budget.rate, 6) for s in geometric if s.budget] == [3, 9, 27]
    for bad in (
        {},
        {"rate": 2, "rates": (2, 3)},
        {"rates": (3, 2)},
        {"rate": 0.5},
        {"rate": 2, "bits": 2, "levels": tt.Binary()},
    ):
        with pytest.raises(tt.PlanError):
            tt.progressive(**bad)


def test_progressive_runs_on_a_network_of_two_layers():
    model = net()
    session = tt.Session(model, tt.progressive(rate=3, bits=2, steps=2, epochs=4), steps_per_epoch=3)
    for stage in session:
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
        scheduler = stage.scheduler(optimizer)
        with stage.attached(optimizer):
            for epoch in range(stage.epochs):
                for i in range(3):
                    train(model, optimizer, 10 * epoch + i)
                    scheduler.step()
    session.check()
    assert session.report().kept <= 15
    for layer in (model[0], model[2]):
        assert len(layer.weight.detach().unique()) <= 5


def test_a_plan_in_two_sessions_gives_the_same_bytes_as_one(tmp_path):
    whole = net()
    session, _ = carry_out(whole)
    parts, epochs, artifact = net(), 0, None
    for stages in (plan()[:2], plan()[2:]):
        if artifact is not None:  # as a new process would: a fresh model, everything else from the file
            parts = net(seed=1)
            artifact = tt.load(tmp_path / "half.tight", parts)
        half = tt.Session(parts, stages, steps_per_epoch=STEPS, start=artifact)
        for stage in half:
            optimizer = torch.optim.Adam(parts.parameters(), lr=1e-2)
            with stage.attached(optimizer):
                for _ in range(stage.epochs):
                    for i in range(STEPS):
                        train(parts, optimizer, 10 * epochs + i)
                    epochs += 1
        half.save(tmp_path / "half.tight")
        artifact = tt.Artifact.open(tmp_path / "half.tight")
    assert half.artifact().to_bytes() == session.artifact().to_bytes()


def test_a_start_must_be_what_the_model_holds(tmp_path):
    session, _ = carry_out(net())
    session.save(tmp_path / "net.tight")
    with pytest.raises(tt.TightenError, match="was changed"):
        tt.Session(net(seed=1), plan(), steps_per_epoch=STEPS, start=tt.Artifact.open(tmp_path / "net.tight"))
    model = net()
    silent = tt.Artifact.of(model.state_dict(), {"0.weight": tt.Sparse(density=1.0).fit(model[0].weight.detach())}, {})
    with pytest.raises(tt.TightenError, match=r"promises nothing of '0\.weight'"):
        tt.Session(model, plan(), steps_per_epoch=STEPS, start=silent)


def lenet_like():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 6, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(54, 12), nn.ReLU(), nn.Linear(12, 4)
    )


@pytest.mark.parametrize("bits", [None, 3])
def test_folding_keeps_the_function_and_every_promise(bits, tmp_path):
    model = lenet_like()
    stages = [tt.Stage({"*": tt.Sparse(density=0.06), "*.bias": tt.Sparse(density=0.9)}, tt.Masked(), 1)]
    if bits:
        stages.append(tt.Stage({"*": tt.Uniform(bits=bits, zero=False)}, tt.Masked(), 1))
    session = tt.Session(model, stages, steps_per_epoch=1)
    inputs = torch.randn(16, 1, 8, 8)
    for stage in session:
        optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
        with stage.attached(optimizer):
            model(inputs).sum().backward()
            optimizer.step()
    before, sizes = model(inputs), session.save(tmp_path / "before.tight")
    kept = sum(int((p != 0).sum()) for p in model.parameters())
    folding = session.fold(inputs[:1])
    assert folding.weights + folding.biases > 0
    torch.testing.assert_close(model(inputs), before, rtol=1e-5, atol=1e-5)
    session.check()
    assert sum(int((p != 0).sum()) for p in model.parameters()) <= kept
    assert session.save(tmp_path / "net.tight").total < sizes.total
    fresh = lenet_like()
    tt.load(tmp_path / "net.tight", fresh)
    assert all(torch.equal(a, b) for a, b in zip(fresh.parameters(), model.parameters(), strict=True))
    assert not session.fold(inputs[:1]).parameters


def test_folding_within_a_stage_is_refused():
    model = lenet_like()
    stages = [tt.Stage({"*": tt.Sparse(density=0.06)}, tt.Masked(), 1)]
    session = tt.Session(model, stages, steps_per_epoch=1)
    for _ in session:
        with pytest.raises(tt.TightenError, match="is at work"):
            session.fold(torch.randn(1, 1, 8, 8))
        break
