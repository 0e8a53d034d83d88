"""Plain loops with what people put into them: the constraint works the same in each."""

import io
import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

import tighten as tt

STEPS = 4


def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3))


def batch(step):
    generator = torch.Generator().manual_seed(step)
    return torch.randn(8, 6, generator=generator), torch.randint(3, (8,), generator=generator)


def loss_of(model, step):
    x, y = batch(step)
    return F.cross_entropy(model(x), y)


def stages():
    return [tt.Stage({"*": tt.Sparse(density=0.4)}, tt.Admm(rho=0.5, rho_end=2.0), 2), tt.Stage({}, tt.Masked(), 1)]


def weights(model):
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def carry_out(step, make, model=None, seen=None):
    """All stages, `step(model, optimizer, number)` for each optimizer step; gives the session."""
    model = model or net()
    session = tt.Session(model, stages(), steps_per_epoch=STEPS)
    for stage in session:
        optimizer = make(model)
        with stage.attached(optimizer) as solver:
            for number in range(stage.epochs * STEPS):
                step(model, optimizer, number)
            if seen is not None:
                seen.append(solver.state.step)
    session.check()
    return session


def simple(model, optimizer, number):
    optimizer.zero_grad()
    loss_of(model, number).backward()
    optimizer.step()


def sgd(model):
    return torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)


def adam(model, **settings):
    return torch.optim.Adam(model.parameters(), lr=1e-2, **settings)


def test_accumulated_gradients_are_pulled_once_a_step():
    def parts(model, optimizer, number):
        optimizer.zero_grad()
        x, y = batch(number)
        for half in (slice(0, 4), slice(4, 8)):
            (F.cross_entropy(model(x[half]), y[half]) / 2).backward()
        optimizer.step()

    found, wanted = carry_out(parts, sgd), carry_out(simple, sgd)
    torch.testing.assert_close(weights(found.model), weights(wanted.model))


def test_what_is_clipped_is_the_gradient_of_the_loss():
    model = net()
    stage = next(iter(tt.Session(model, stages(), steps_per_epoch=STEPS)))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with stage.attached(optimizer) as solver:
        w = model[0].weight
        loss_of(model, 0).backward()
        norm = nn.utils.clip_grad_norm_(model.parameters(), 0.01)
        assert norm > 0.01
        wanted = w.detach() - 0.1 * (w.grad + 0.5 * (w.detach() - solver.state.targets["0.weight"]))
        optimizer.step()
        torch.testing.assert_close(w.detach(), wanted)


@pytest.mark.parametrize("settings", [{"foreach": True}, {"fused": True}, {"amsgrad": True, "foreach": True}])
def test_kinds_of_one_optimizer_agree(settings):
    plain = {name: value for name, value in settings.items() if name == "amsgrad"}
    found = carry_out(simple, lambda m: adam(m, **settings))
    wanted = carry_out(simple, lambda m: adam(m, foreach=False, **plain))
    torch.testing.assert_close(weights(found.model), weights(wanted.model))


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("clip", [False, True])
def test_a_gradient_scaler_changes_nothing_but_skipped_steps(fused, clip):
    """Powers of two scale exactly; the third and the eighth step overflow."""
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10, growth_interval=1000)

    def clipped(model):
        if clip:
            nn.utils.clip_grad_norm_(model.parameters(), 0.1)

    def scaled(model, optimizer, number):
        if number in (2, 7):
            optimizer.zero_grad()
            scaler.scale(loss_of(model, number) * math.inf).backward()
            before = weights(model)
            scaler.step(optimizer)
            scaler.update()
            assert torch.equal(before, weights(model))
        optimizer.zero_grad()
        scaler.scale(loss_of(model, number)).backward()
        if clip:
            scaler.unscale_(optimizer)
        clipped(model)
        scaler.step(optimizer)
        scaler.update()

    def unscaled(model, optimizer, number):
        optimizer.zero_grad()
        loss_of(model, number).backward()
        clipped(model)
        optimizer.step()

    steps = []
    found = carry_out(scaled, lambda m: adam(m, fused=fused), seen=steps)
    wanted = carry_out(unscaled, lambda m: adam(m, fused=fused))
    assert steps == [2 * STEPS, STEPS]
    torch.testing.assert_close(weights(found.model), weights(wanted.model))


def test_gradients_are_sensed_without_the_scale_of_a_fused_optimizer():
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10)
    sensed = []
    for scale in (False, True):
        model = net()
        stage = next(iter(tt.Session(model, stages(), steps_per_epoch=STEPS)))
        optimizer = adam(model, fused=True)
        with stage.attached(optimizer) as solver:
            for number in range(2 * STEPS):
                optimizer.zero_grad()
                loss = loss_of(model, number)
                (scaler.scale(loss) if scale else loss).backward()
                if scale:
                    scaler.step(optimizer)
                    scaler.update()
                else:
                    optimizer.step()
            sensed.append(solver.state.squared_gradients)
    assert sensed[0] == pytest.approx(sensed[1], rel=1e-4)


def test_bf16_computes_in_its_own_format_and_weights_stay_exact(tmp_path):
    def low(model, optimizer, number):
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16):
            loss = loss_of(model, number)
        loss.backward()
        optimizer.step()

    session = carry_out(low, adam)
    session.save(tmp_path / "net.tight")
    again = net()
    tt.load(tmp_path / "net.tight", again)
    assert torch.equal(weights(again), weights(session.model))


def test_parameter_groups_keep_their_settings():
    def groups(model):
        return torch.optim.SGD(
            [{"params": model[0].parameters(), "lr": 0.0}, {"params": model[2].parameters(), "weight_decay": 0.5}],
            lr=0.1,
        )

    model = net()
    before = model[0].weight.detach().clone()
    session = tt.Session(model, stages(), steps_per_epoch=STEPS)
    stage = next(iter(session))
    optimizer = groups(model)
    scheduler = stage.scheduler(optimizer)
    with stage.attached(optimizer):
        for number in range(2 * STEPS):
            simple(model, optimizer, number)
            scheduler.step()
            assert torch.equal(model[0].weight, before)
            assert optimizer.param_groups[1]["lr"] == pytest.approx(0.1 * stage.learning_rate_factor)
    assert int((model[0].weight != 0).sum()) == 12


def test_parameters_of_a_stage_may_be_spread_over_groups_but_none_may_be_missing():
    model = net()
    stage = next(iter(tt.Session(model, stages(), steps_per_epoch=STEPS)))
    with (
        pytest.raises(tt.TrainingError, match=r"does not hold '2\.weight'"),
        stage.attached(torch.optim.SGD(model[0].parameters(), lr=0.1)),
    ):
        pass


@pytest.mark.parametrize("of", ["session", "optimizer"])
def test_a_compiled_model_keeps_its_names(of, tmp_path):
    model = net()
    compiled = torch.compile(model, backend="eager")
    session = tt.Session(compiled if of == "session" else model, stages(), steps_per_epoch=STEPS)
    for stage in session:
        optimizer = sgd(compiled)
        with stage.attached(optimizer):
            for number in range(stage.epochs * STEPS):
                simple(compiled, optimizer, number)
    wanted = carry_out(simple, sgd)
    torch.testing.assert_close(weights(model), weights(wanted.model))
    session.save(tmp_path / "net.tight")
    assert set(tt.Artifact.open(tmp_path / "net.tight").state_dict()) == set(model.state_dict())


@pytest.mark.parametrize("quantize", [False, True])
def test_an_average_put_in_before_the_stage_ends_is_what_is_saved(quantize):
    last = tt.Freeze(passes=2) if quantize else tt.Masked()
    sets = {"0.weight": tt.Uniform(bits=2, zero=False)} if quantize else {}
    model = net()
    session = tt.Session(model, [stages()[0], tt.Stage(sets, last, 2)], steps_per_epoch=STEPS)
    for stage in session:
        optimizer = sgd(model)
        with stage.attached(optimizer):
            average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.8))
            for number in range(stage.epochs * STEPS):
                simple(model, optimizer, number)
                average.update_parameters(model)
            if stage.index == 1:
                with torch.no_grad():
                    for own, mean in zip(model.parameters(), average.module.parameters(), strict=True):
                        own.copy_(mean)
    session.check()
    # What no set says anything of is the average itself.
    assert torch.equal(model[2].bias, average.module[2].bias)
    assert int((model[0].weight != 0).sum()) <= 12
    if quantize:
        assert len(model[0].weight.detach().unique()) <= 5


def test_the_curve_goes_by_steps_not_by_calls():
    model = net()
    stage = next(iter(tt.Session(model, stages()[1:], steps_per_epoch=STEPS)))
    optimizer = sgd(model)
    scheduler = stage.scheduler(optimizer)
    rates = []
    with stage.attached(optimizer):
        for number in range(STEPS):
            rates.append(optimizer.param_groups[0]["lr"])
            simple(model, optimizer, number)
            scheduler.step()
            scheduler.step()
    assert rates == pytest.approx([0.05 * (1 + math.cos(math.pi * k / STEPS)) for k in range(STEPS)])


def test_a_scheduler_goes_on_after_a_resume_in_a_stage_of_one_long_curve():
    """The cosine of retraining does not repeat: a step counted twice would be seen."""
    model = net()
    session = tt.Session(model, [tt.Stage({"*": tt.Sparse(density=0.4)}, tt.Masked(), 4)], steps_per_epoch=STEPS)
    stage = next(iter(session))
    optimizer = sgd(model)
    scheduler = stage.scheduler(optimizer)
    rates = []
    with stage.attached(optimizer):
        for number in range(4 * STEPS):
            if number == 2 * STEPS:
                saved = (session.state_dict(), optimizer.state_dict(), scheduler.state_dict())
                kept = {name: p.detach().clone() for name, p in model.named_parameters()}
                saved = torch.load(_file(saved), weights_only=True)
            simple(model, optimizer, number)
            scheduler.step()
            rates.append(optimizer.param_groups[0]["lr"])
    again = net()
    again.load_state_dict(kept)
    second = tt.Session(again, session.plan, steps_per_epoch=STEPS)
    second.load_state_dict(saved[0])
    stage = next(iter(second))
    optimizer = sgd(again)
    scheduler = stage.scheduler(optimizer)
    optimizer.load_state_dict(saved[1])
    scheduler.load_state_dict(saved[2])
    with stage.attached(optimizer):
        for number in range(2 * STEPS, 4 * STEPS):
            simple(again, optimizer, number)
            scheduler.step()
            assert optimizer.param_groups[0]["lr"] == rates[number]
    assert torch.equal(weights(model), weights(again))


def _file(state):

    buffer = io.BytesIO()
    torch.save(state, buffer)
    buffer.seek(0)
    return buffer


def test_an_optimizer_that_drives_another_is_taken_as_a_whole():
    class Halved(torch.optim.Optimizer):
        """Half of each step of another optimizer, towards ones."""

        def __init__(self, inner):
            super().__init__(inner.param_groups[0]["params"], {})
            self.optimizer = inner

        @torch.no_grad()
        def step(self, closure=None):
            self.optimizer.step()
            for p in self.param_groups[0]["params"]:
                p.lerp_(torch.ones_like(p), 0.5)

    model = net()
    session = tt.Session(model, [tt.Stage({"*": tt.Sparse(density=0.4)}, tt.Masked(), 1)], steps_per_epoch=STEPS)
    for stage in session:
        optimizer = Halved(torch.optim.SGD(model.parameters(), lr=0.1))
        with stage.attached(optimizer) as solver:
            for number in range(STEPS):
                simple(model, optimizer, number)
                assert solver.state.step == number + 1
                assert int((model[0].weight != 0).sum()) == 12
