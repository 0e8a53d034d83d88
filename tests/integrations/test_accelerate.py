"""Accelerate, the real one, against the same plan in a plain loop."""

import pytest
import torch
from accelerate import Accelerator
from tests.integrations.problem import adam, loader, net, plain, plan, same
from torch.nn import functional as F

import tighten as tt
from tighten.integrations.accelerate import session as session_of


class Loop:
    """A loop of Accelerate with one optimizer through all stages."""

    def __init__(self, accumulate=1, clip=None, make=adam, compiled=False):
        self.clip, self.epochs = clip, 0
        self.accelerator = Accelerator(cpu=True, gradient_accumulation_steps=accumulate)
        module = net()
        if compiled:
            module = torch.compile(module, backend="eager")
        self.model, self.optimizer, self.loader = self.accelerator.prepare(module, make(module.parameters()), loader())
        self.session = session_of(self.accelerator, self.model, plan(), self.loader)
        self.base = [group["lr"] for group in self.optimizer.param_groups]

    def run(self, save_after=None, path=None):
        for stage in self.session:
            for group, rate in zip(self.optimizer.param_groups, self.base, strict=True):
                group.pop("initial_lr", None)
                group["lr"] = rate
            scheduler = stage.scheduler(self.optimizer)
            with stage.attached(self.optimizer):
                for _ in range(stage.start_epoch, stage.epochs):
                    self.epoch(scheduler)
                    self.epochs += 1
                    if self.epochs == save_after:
                        self.accelerator.save_state(path)
        return self.session

    def epoch(self, scheduler):
        for x, y in self.loader:
            with self.accelerator.accumulate(self.model):
                self.accelerator.backward(F.cross_entropy(self.model(x), y))
                if self.clip is not None and self.accelerator.sync_gradients:
                    self.accelerator.clip_grad_norm_(self.model.parameters(), self.clip)
                self.optimizer.step()
                self.optimizer.zero_grad()
                # Every batch, as tutorials do: only steps count.
                scheduler.step()


@pytest.fixture(autouse=True)
def _fresh_state():
    """Accelerators of one process share their state."""
    Accelerator(cpu=True).state._reset_state(reset_partial_state=True)


@pytest.mark.filterwarnings("ignore:Detected call of `lr_scheduler.step")
@pytest.mark.parametrize(("accumulate", "clip"), [(1, None), (2, 0.1)])
def test_a_loop_gives_what_a_plain_loop_gives(accumulate, clip):
    assert same(Loop(accumulate, clip).run(), plain(accumulate, clip))


def test_a_compiled_model_keeps_its_names():
    loop = Loop(compiled=True)
    assert same(loop.run(), plain())
    assert set(loop.session.codes) == {"0.weight", "2.weight"}


def test_a_saved_state_gives_the_same_bits(tmp_path):
    Loop().run(save_after=2, path=tmp_path / "state")
    again = Loop()
    again.accelerator.load_state(tmp_path / "state")
    assert same(again.run(), plain())


def test_a_step_that_the_scaler_skips_is_none():
    """What a prepared optimizer does in fp16, which Accelerate itself offers on GPUs only."""
    from accelerate.optimizer import AcceleratedOptimizer

    Accelerator(cpu=True)
    model = net()
    optimizer = AcceleratedOptimizer(adam(model.parameters()), scaler=torch.amp.GradScaler("cpu", init_scale=8.0))
    session = tt.Session(model, plan(), steps_per_epoch=4)
    stage = next(iter(session))
    x, y = next(iter(loader()))
    with stage.attached(optimizer) as solver:
        for wild in (False, True, False):
            optimizer.zero_grad()
            loss = F.cross_entropy(model(x), y)
            optimizer.scaler.scale(loss * float("inf") if wild else loss).backward()
            before = model[0].weight.detach().clone()
            optimizer.step()
            assert optimizer.step_was_skipped is wild
            assert torch.equal(before, model[0].weight) is wild
        assert solver.state.step == 2
