"""Multiply-accumulates against known networks and against counting by hand."""

import pytest
import torch
from torch import nn
from torch.nn.utils.parametrizations import weight_norm

import tighten as tt
from tighten.zoo import LeNet5


def test_lenet5_has_the_numbers_of_the_literature():
    model = LeNet5()
    found = tt.macs_per_weight(model, torch.zeros(3, 1, 28, 28))
    assert {n: found[n] * model.get_parameter(n).numel() for n in found} == {
        "conv1.weight": 288_000,
        "conv2.weight": 1_600_000,
        "fc1.weight": 400_000,
        "fc2.weight": 5_000,
    }


def by_perturbation(layer, x):
    """In how many products one weight takes part: on ones, the sum of the outputs grows by one for each."""
    with torch.no_grad():
        nn.init.zeros_(layer.weight)
        before = layer(torch.ones_like(x)).double().sum()
        layer.weight.view(-1)[layer.weight.numel() // 2] = 1.0
        return round(float(layer(torch.ones_like(x)).double().sum() - before) / len(x))


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (nn.Conv1d(4, 6, 3, stride=2, groups=2), (2, 4, 11)),
        (nn.Conv2d(3, 5, (3, 2), dilation=2), (2, 3, 9, 8)),
        (nn.Conv3d(1, 2, 2), (1, 1, 4, 5, 3)),
        (nn.ConvTranspose1d(4, 2, 3, stride=2), (2, 4, 7)),
        (nn.ConvTranspose2d(2, 3, 2, stride=2), (3, 2, 4, 5)),
        (nn.Linear(4, 3), (2, 4)),
        (nn.Linear(4, 3), (2, 7, 4)),
    ],
)
def test_each_kind_of_layer_is_counted_as_it_computes(layer, shape):
    x = torch.randn(shape)
    (found,) = tt.macs_per_weight(layer, x).values()
    assert found == by_perturbation(layer, x)


class Twice(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.tied, self.unused = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 4)
        self.tied.weight = self.a.weight
        self.norm, self.drop = nn.BatchNorm1d(4), nn.Dropout(0.5)
        self.computed = weight_norm(nn.Linear(4, 4))
        self.table = nn.Embedding(3, 4)

    def forward(self, x, *, scale=1.0):
        return self.computed(self.drop(self.norm(self.tied(self.a(self.a(input=x)))))) * scale + self.table.weight[0]


def test_uses_add_up_and_other_weights_are_not_listed():
    assert tt.macs_per_weight(Twice(), torch.randn(5, 4)) == {"a.weight": 3}


def test_the_model_is_left_as_it_was():
    model = Twice().train()
    model.drop.eval()
    before = {n: t.clone() for n, t in model.state_dict().items()}
    random = torch.get_rng_state()
    tt.macs_per_weight(model, torch.randn(5, 4, generator=torch.Generator().manual_seed(0)))
    assert all(torch.equal(t, before[n]) for n, t in model.state_dict().items())
    assert model.training
    assert model.norm.training
    assert not model.drop.training
    assert not any(module._forward_hooks for module in model.modules())
    assert all(p.grad is None for p in model.parameters())
    assert torch.equal(random, torch.get_rng_state())


def test_a_model_that_fails_is_left_as_it_was_too():
    model = Twice()
    with pytest.raises(RuntimeError):
        tt.macs_per_weight(model, torch.randn(5, 3))
    assert model.training
    assert not any(module._forward_hooks for module in model.modules())


def test_the_example_may_hold_several_arguments():
    x = torch.randn(2, 4)
    assert tt.macs_per_weight(Twice(), (x,)) == tt.macs_per_weight(Twice(), {"x": x, "scale": 2.0}) == {"a.weight": 3}


@pytest.mark.parametrize("example", [(), 3, torch.zeros(0, 4), {"scale": 2.0}])
def test_an_example_without_examples_is_refused(example):
    with pytest.raises(tt.PlanError, match=r"inputs\[:1\]"):
        tt.macs_per_weight(Twice(), example)


def test_a_model_without_such_layers_is_refused():
    with pytest.raises(tt.PlanError, match="no convolution or linear layer of ReLU"):
        tt.macs_per_weight(nn.ReLU(), torch.zeros(1, 4))
