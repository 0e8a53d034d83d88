"""Lightning's Trainer, the real one, against the same plan in a plain loop."""

import warnings

import pytest
import torch
from tests.integrations.problem import BATCHES, adam, loader, net, plain, plan, same
from torch import nn
from torch.nn import functional as F

import tighten as tt
from tighten.torchvision_ops import import_torchvision

import_torchvision()
lightning = pytest.importorskip("lightning.pytorch")
from lightning.pytorch.callbacks import EMAWeightAveraging, ModelCheckpoint  # noqa: E402
from lightning.pytorch.plugins import MixedPrecision  # noqa: E402

from tighten.integrations.lightning import Tighten  # noqa: E402


class Digits(lightning.LightningModule):
    def __init__(self, make=adam):
        super().__init__()
        self.net, self.make = net(), make

    def training_step(self, batch, index):
        return F.cross_entropy(self.net(batch[0]), batch[1])

    def configure_optimizers(self):
        return self.make(self.parameters())


def trainer(folder, *callbacks, epochs=None, checkpoints=False, **settings):
    return lightning.Trainer(
        max_epochs=plan().epochs if epochs is None else epochs,
        callbacks=list(callbacks),
        accelerator="cpu",
        default_root_dir=folder,
        logger=False,
        enable_checkpointing=checkpoints,
        enable_progress_bar=False,
        enable_model_summary=False,
        **settings,
    )


def fit(folder, module=None, accumulate=1, callbacks=(), stages=None, ckpt_path=None, **settings):
    """A whole fit; gives the session and the trainer."""
    module = module or Digits()
    session = tt.Session(module.net, stages or plan(), steps_per_epoch=BATCHES // accumulate)
    lead = trainer(folder, *callbacks, Tighten(session), accumulate_grad_batches=accumulate, **settings)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        lead.fit(module, loader(), ckpt_path=ckpt_path)
    return session, lead


@pytest.mark.parametrize(
    ("accumulate", "clip", "make"),
    [
        (1, None, adam),
        (2, None, adam),
        (1, 0.1, adam),
        (1, None, lambda p: torch.optim.AdamW(p, lr=1e-2, fused=True)),
        (1, None, lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, foreach=True)),
    ],
)
def test_a_fit_gives_what_a_plain_loop_gives(tmp_path, accumulate, clip, make):
    session, _ = fit(tmp_path, Digits(make), accumulate, gradient_clip_val=clip)
    assert same(session, plain(accumulate, clip, make))
    session.save(tmp_path / "net.tight")
    again = net()
    tt.load(tmp_path / "net.tight", again)
    assert int((again[0].weight != 0).sum() + (again[2].weight != 0).sum()) <= (64 * 24 + 24 * 10) // 5


@pytest.mark.parametrize("precision", ["bf16-mixed", "16-mixed"])
def test_mixed_precision(tmp_path, precision):
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**8) if precision == "16-mixed" else None
    session, _ = fit(tmp_path, plugins=[MixedPrecision(precision, "cpu", scaler)])
    session.check()
    assert session.done == len(plan())
    wanted = plain().model[0].weight
    # Another number format, the same way: the supports agree nearly everywhere.
    assert ((wanted != 0) == (session.model[0].weight != 0)).float().mean() > 0.9


def test_steps_that_a_scaler_skips_do_not_count(tmp_path):
    """A scale of 2^40 overflows float16 until it has been halved often enough."""
    stages = [tt.Stage({"*": tt.Sparse(density=0.2)}, tt.Admm(), 3)]
    seen = []

    class Look(lightning.Callback):
        def on_train_end(self, lead, module):
            seen.append(session_of[0]._active.solver.state.step)

    module, session_of = Digits(), []
    session_of.append(tt.Session(module.net, stages, steps_per_epoch=BATCHES))
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**40, backoff_factor=2.0**-8)
    plugins = [MixedPrecision("16-mixed", "cpu", scaler)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer(tmp_path, Look(), Tighten(session_of[0]), epochs=3, plugins=plugins).fit(module, loader())
    session_of[0].check()
    assert BATCHES * 3 - 6 < seen[0] < BATCHES * 3


def test_a_resume_from_the_trainers_checkpoint_gives_the_same_bits(tmp_path):
    checkpoint = ModelCheckpoint(tmp_path, filename="{epoch}", save_top_k=-1)
    whole, _ = fit(tmp_path, callbacks=[checkpoint], checkpoints=True)
    assert same(whole, plain())
    for epoch in (0, 2, 5):
        path = tmp_path / f"epoch={epoch}.ckpt"
        resumed, lead = fit(tmp_path, ckpt_path=path)
        assert lead.current_epoch == plan().epochs
        assert same(resumed, whole)


def test_a_running_average_of_the_weights_ends_in_the_set(tmp_path):
    stages = [*plan()[:2]]
    session, _ = fit(tmp_path, callbacks=[EMAWeightAveraging(decay=0.5)], stages=stages, epochs=5)
    session.check()
    # The average was put in before the stage ended, so it is what the session holds.
    bare, _ = fit(tmp_path, stages=stages, epochs=5)
    assert not torch.equal(session.model[2].bias, bare.model[2].bias)
    assert int((session.model[0].weight != 0).sum() + (session.model[2].weight != 0).sum()) <= (64 * 24 + 24 * 10) // 5


def test_the_fit_stops_with_the_plan(tmp_path):
    _, lead = fit(tmp_path, epochs=50)
    assert lead.current_epoch == plan().epochs


def test_what_cannot_be_is_told_before_the_first_step(tmp_path):
    module = Digits()
    lead = trainer(
        tmp_path, Tighten(tt.Session(module.net, plan(), steps_per_epoch=BATCHES)), accumulate_grad_batches=2
    )
    with pytest.raises(tt.PlanError, match=r"steps_per_epoch=3\)"):
        lead.fit(module, loader())
    with pytest.raises(tt.PlanError, match="the fit only 7"):
        fit(tmp_path, epochs=7)
    with pytest.raises(tt.TrainingError, match="instead of LBFGS"):
        fit(tmp_path, Digits(torch.optim.LBFGS))


def test_several_optimizers_are_refused(tmp_path):
    class Two(Digits):
        automatic_optimization = False

        def configure_optimizers(self):
            return adam(self.net[0].parameters()), adam(self.net[2].parameters())

    module = Two()
    module.automatic_optimization = False
    with pytest.raises(tt.TrainingError, match="2 optimizers"):
        fit(tmp_path, module)


def test_manual_optimization(tmp_path):
    class Manual(Digits):
        def __init__(self):
            super().__init__()
            self.automatic_optimization = False

        def training_step(self, batch, index):
            optimizer = self.optimizers()
            optimizer.zero_grad()
            self.manual_backward(F.cross_entropy(self.net(batch[0]), batch[1]))
            optimizer.step()

    session, _ = fit(tmp_path, Manual())
    assert same(session, plain())


def test_a_scheduler_of_ones_own_counts_too(tmp_path):
    class Halved(Digits):
        def configure_optimizers(self):
            optimizer = adam(self.parameters())
            return [optimizer], [torch.optim.lr_scheduler.ConstantLR(optimizer, 0.5, total_iters=1000)]

    session, _ = fit(tmp_path, Halved())
    assert same(session, plain(make=lambda p: torch.optim.Adam(p, lr=0.5e-2)))


def test_a_compiled_module_keeps_its_names(tmp_path):
    module = Digits()
    whole = module.net
    module.net = torch.compile(whole, backend="eager")
    session = tt.Session(module.net, plan(), steps_per_epoch=BATCHES)
    assert isinstance(session.model, nn.Sequential)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer(tmp_path, Tighten(session)).fit(module, loader())
    assert same(session, plain())
    assert set(session.codes) == {"0.weight", "2.weight"}
