"""Batch norm statistics against those computed by hand, and where a run takes them anew."""

import torch
from torch import nn

from tighten.data import Shift
from tighten.engine.batch_norm import reestimate
from tighten.engine.events import Listener
from tighten.engine.prepare import prepare
from tighten.recipes import load


def test_statistics_are_those_of_the_weights_as_they_are():
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4)).eval()
    made = torch.Generator().manual_seed(0)
    parts = [torch.randn(64, 3, generator=made) + k for k in range(3)]
    reestimate(model, parts)
    with torch.no_grad():
        outputs = [model[0](part) for part in parts]
    torch.testing.assert_close(model[1].running_mean, torch.stack([o.mean(0) for o in outputs]).mean(0))
    torch.testing.assert_close(model[1].running_var, torch.stack([o.var(0) for o in outputs]).mean(0))
    assert not model.training
    assert model[1].momentum == 0.1


def test_networks_without_batch_norm_see_no_input():
    def never():
        raise AssertionError("read")
        yield

    reestimate(nn.Linear(3, 2), never())


def test_the_pictures_are_those_of_training_and_always_the_same():
    trainer = prepare(load("digits")[0], root=None, download=False, seed=0, listener=Listener())
    trainer.augment = Shift(1, fill=9.0, per="sample")
    once, again = (torch.cat(list(trainer.inputs(100, augmented=True))) for _ in range(2))
    assert torch.equal(once, again)
    assert bool((once == 9).any())
    assert not bool((torch.cat(list(trainer.inputs(100))) == 9).any())
