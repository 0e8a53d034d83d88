"""Lightning Fabric, the real one, against the same plan in a plain loop."""

import pytest
import torch
from tests.integrations.problem import adam, loader, net, plain, plan, same
from torch.nn import functional as F

import tighten as tt
from tighten.torchvision_ops import import_torchvision

import_torchvision()
fabrics = pytest.importorskip("lightning.fabric")
from lightning.fabric.plugins import MixedPrecision  # noqa: E402

from tighten.integrations.fabric import session as session_of  # noqa: E402


class Loop:
    """A loop of Fabric with one optimizer through all stages."""

    def __init__(self, accumulate=1, clip=None, make=adam, stages=None, **settings):
        self.accumulate, self.clip, self.epochs = accumulate, clip, 0
        self.fabric = fabrics.Fabric(accelerator="cpu", **settings)
        module = net()
        self.model, self.optimizer = self.fabric.setup(module, make(module.parameters()))
        self.loader = self.fabric.setup_dataloaders(loader())
        self.session = session_of(self.model, stages or plan(), self.loader, accumulate=accumulate)
        self.base = [group["lr"] for group in self.optimizer.param_groups]

    def state(self):
        return {"model": self.model, "optimizer": self.optimizer, "session": self.session}

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
                        self.fabric.save(path, self.state())
        return self.session

    def epoch(self, scheduler):
        for i, (x, y) in enumerate(self.loader):
            last = (i + 1) % self.accumulate == 0
            with self.fabric.no_backward_sync(self.model, enabled=not last):
                self.fabric.backward(F.cross_entropy(self.model(x), y) / self.accumulate)
            if last:
                if self.clip is not None:
                    self.fabric.clip_gradients(self.model, self.optimizer, max_norm=self.clip, norm_type=2)
                self.optimizer.step()
                self.optimizer.zero_grad()
                scheduler.step()


@pytest.mark.parametrize(("accumulate", "clip"), [(1, None), (2, 0.1)])
def test_a_loop_gives_what_a_plain_loop_gives(accumulate, clip):
    assert same(Loop(accumulate, clip).run(), plain(accumulate, clip))


def test_names_are_those_of_the_module_inside():
    assert isinstance(Loop().session.model, torch.nn.Sequential)


def test_a_checkpoint_of_fabric_gives_the_same_bits(tmp_path):
    path = tmp_path / "net.ckpt"
    Loop().run(save_after=2, path=path)
    again = Loop()
    again.fabric.load(path, again.state())
    assert same(again.run(), plain())


@pytest.mark.filterwarnings("ignore:Detected call of `lr_scheduler.step")
@pytest.mark.parametrize("fused", [False, True])
def test_fp16_with_steps_that_the_scaler_skips(fused):
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**40, backoff_factor=2.0**-8)
    stages = [tt.Stage({"*": tt.Sparse(density=0.2)}, tt.Admm(), 3)]
    loop = Loop(
        make=lambda p: torch.optim.Adam(p, lr=1e-2, fused=fused),
        stages=stages,
        plugins=[MixedPrecision("16-mixed", "cpu", scaler)],
    )
    stage = next(iter(loop.session))
    loop.run()
    assert 3 * len(loop.loader) - 6 < stage.solver.state.step < 3 * len(loop.loader)
    loop.session.check()


def test_a_closure_is_refused():
    loop = Loop()
    stage = next(iter(loop.session))
    with pytest.raises(tt.TrainingError, match="without a closure"), stage.attached(loop.optimizer):
        loop.optimizer.step(lambda: torch.zeros(()))
