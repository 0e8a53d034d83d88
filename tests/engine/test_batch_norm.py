"""Batch norm statistics against those computed by hand, and where a run takes them anew."""

import torch
from torch import nn

from tighten.engine.batch_norm import reestimate


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
