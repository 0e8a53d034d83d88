"""Folding against an oracle of paths, on the networks of the zoo, and where it must keep its hands off."""

import copy
from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import tighten as tt
from tighten.zoo import DigitsNet, LeNet5, ResNet20


def pruned(model, density, seed=0):
    """Random supports, biases that are not zero, batch norms as after training; in eval mode."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in model.parameters():
            if p.ndim > 1:
                p.mul_(torch.rand(p.shape, generator=generator) < density)
            else:
                p.add_(0.1 * torch.randn(p.shape, generator=generator))
        for name, b in model.named_buffers():
            if name.endswith("running_mean"):
                b.copy_(torch.randn(b.shape, generator=generator))
            if name.endswith("running_var"):
                b.copy_(0.5 + torch.rand(b.shape, generator=generator))
    return model.eval()


def inputs(shape, n=8, dtype=torch.float32, seed=1):
    return torch.randn(n, *shape, generator=torch.Generator().manual_seed(seed)).to(dtype)


@torch.no_grad()
def difference(a, b, x):
    return float((a(x) - b(x)).abs().max())


def nonzero(model):
    return {name: p.detach() != 0 for name, p in model.named_parameters()}


def weights_of(model):
    return sum(int((p != 0).sum()) for p in model.parameters() if p.ndim > 1)


def mlp(sizes, activation, dtype=torch.float64):
    torch.manual_seed(3)
    layers = []
    for a, b in pairwise(sizes):
        layers += [nn.Linear(a, b), activation()]
    return nn.Sequential(*layers[:-1]).to(dtype)


def on_a_path(supports):
    """Brute force: which weights lie on a path from an input to an output; supports[l][to, from]."""
    lives = [[[False] * support.shape[1] for _ in support] for support in supports]

    def walk(depth, at, steps):
        if depth == len(supports):
            for layer, to, source in steps:
                lives[layer][to][source] = True
            return
        for to in range(supports[depth].shape[0]):
            if supports[depth][to, at]:
                walk(depth + 1, to, [*steps, (depth, to, at)])

    for start in range(supports[0].shape[1]):
        walk(0, start, [])
    return [torch.tensor(live) for live in lives]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("activation", [nn.ReLU, nn.Tanh, nn.Sigmoid, nn.GELU, nn.LeakyReLU, nn.Hardtanh])
def test_just_the_weights_between_input_and_output_stay(seed, activation):
    model = pruned(mlp([5, 6, 6, 4, 3], activation), 0.25, seed)
    before = copy.deepcopy(model)
    expected = on_a_path([layer.weight.detach() != 0 for layer in model if isinstance(layer, nn.Linear)])
    folding = tt.fold(model, inputs((5,), 1, torch.float64))
    found = [layer.weight.detach() != 0 for layer in model if isinstance(layer, nn.Linear)]
    for a, b in zip(found, expected, strict=True):
        assert torch.equal(a, b)
    assert difference(model, before, inputs((5,), 50, torch.float64)) < 1e-10
    # A neuron that nothing reads has no bias either.
    for layer, reader in zip(model[::2], model[2::2], strict=False):
        alive = (reader.weight != 0).any(0)
        assert not layer.bias[~alive].any()
    assert folding.weights == weights_of(before) - weights_of(model) > 0


@pytest.mark.parametrize(
    ("net", "shape", "density", "dtype", "tolerance"),
    [
        (LeNet5, (1, 28, 28), 0.005, torch.float32, 1e-5),
        (LeNet5, (1, 28, 28), 0.005, torch.float64, 1e-10),
        (DigitsNet, (1, 8, 8), 0.02, torch.float32, 1e-5),
        (DigitsNet, (1, 8, 8), 0.02, torch.float64, 1e-10),
        (ResNet20, (3, 8, 8), 0.02, torch.float32, 1e-5),
    ],
)
def test_the_zoo_computes_the_same_with_fewer_weights(net, shape, density, dtype, tolerance):
    torch.manual_seed(0)
    model = pruned(net(), density).to(dtype)
    before = copy.deepcopy(model)
    folding = tt.fold(model, inputs(shape, 1, dtype))
    assert folding.reason is None
    assert folding.opaque == ()
    assert difference(model, before, inputs(shape, 4, dtype)) < tolerance
    assert folding.weights == weights_of(before) - weights_of(model) > 50
    assert folding.biases > 50
    assert folding.constant > 10
    assert folding.unread > 0
    was, now = nonzero(before), nonzero(model)
    assert not any((now[name] & ~was[name]).any() for name, p in model.named_parameters() if p.ndim > 1)
    buffers = dict(before.named_buffers())
    assert all(torch.equal(b, buffers[name]) for name, b in model.named_buffers())
    again = tt.fold(model, inputs(shape, 1, dtype))
    assert again.parameters == ()
    assert again.weights == again.biases == 0


def test_the_report_counts_neurons_by_hand():
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([[1.0, 2, 3], [0, 0, 0], [0, 0, 0], [1, 0, 1]]))
        model[0].bias.copy_(torch.tensor([1.0, 2, -3, 4]))
        model[2].weight.copy_(torch.tensor([[1.0, 5, 7, 0], [1, 0, 7, 0]]))
        model[2].bias.copy_(torch.tensor([0.5, 0.0]))
    folding = tt.fold(model, torch.zeros(1, 3))
    # Neuron 1 is 2 for ever, neuron 2 is 0 for ever, neuron 3 is read by nobody.
    assert folding.layers == (tt.folding.FoldedLayer("0", neurons=4, constant=2, unread=1, left=0),)
    assert model[0].weight.tolist() == [[1, 2, 3], [0, 0, 0], [0, 0, 0], [0, 0, 0]]
    assert model[0].bias.tolist() == [1, 0, 0, 0]
    assert model[2].weight.tolist() == [[1, 0, 0, 0], [1, 0, 0, 0]]
    assert model[2].bias.tolist() == [10.5, 0]
    assert (folding.weights, folding.biases, folding.filled) == (5, 3, 0)
    assert "5 weights and 3 biases became zero" in str(folding)
    assert str(tt.fold(model, torch.zeros(1, 3))) == "nothing to fold"


def test_biases_that_were_zero_and_take_a_constant_are_counted():
    model = nn.Sequential(nn.Linear(1, 2), nn.Linear(2, 2))
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([[1.0], [0]]))
        model[0].bias.copy_(torch.tensor([0.0, 2]))
        model[1].weight.copy_(torch.tensor([[1.0, 3], [1, 0]]))
        model[1].bias.zero_()
    folding = tt.fold(model, torch.zeros(1, 1))
    assert model[1].bias.tolist() == [6, 0]
    assert (folding.weights, folding.biases, folding.filled) == (1, 1, 1)
    assert "biases that were zero and now hold a constant: 1" in str(folding)


class Net(nn.Module):
    """Two convolutions with something between."""

    def __init__(self, between=F.relu, **second):
        super().__init__()
        self.a = nn.Conv2d(1, 3, 3)
        self.b = nn.Conv2d(3, 2, 3, **second)
        self.between = between

    def forward(self, x):
        return self.b(self.between(self.a(x)))


def with_dead(model, layer, neuron, bias):
    """A neuron of a layer without incoming weights."""
    with torch.no_grad():
        module = model.get_submodule(layer)
        module.weight[neuron] = 0
        module.bias[neuron] = bias
    return model.double().eval()


@pytest.mark.parametrize(
    ("second", "bias", "folds"),
    [
        ({}, 0.5, True),
        ({"padding": 1}, 0.5, False),
        ({"padding": 1}, -0.5, True),  # nothing passes the ReLU: nothing to hand on
        ({"padding": 1, "padding_mode": "replicate"}, 0.5, True),
        ({"padding": 1, "padding_mode": "reflect"}, 0.5, True),
        ({"padding": 1, "padding_mode": "circular"}, 0.5, True),
        ({"stride": 2, "dilation": 2}, 0.5, True),
        ({"bias": False}, 0.5, False),
        ({"bias": False}, -0.5, True),
    ],
)
def test_a_constant_is_handed_on_only_where_every_pixel_sees_the_same(second, bias, folds):
    torch.manual_seed(0)
    model = with_dead(Net(**second), "a", 1, bias)
    before = copy.deepcopy(model)
    x = inputs((1, 9, 9), 3, torch.float64)
    folding = tt.fold(model, x[:1])
    assert difference(model, before, x) < 1e-10
    assert bool((model.b.weight[:, 1] == 0).all()) is folds
    assert float(model.a.bias[1].detach()) == (0.0 if folds else bias)  # halves are exact
    assert [(line.name, line.constant, line.left) for line in folding.layers] == [("a", 1, 0 if folds else 1)]


def test_a_tap_that_never_sees_the_border_is_no_obstacle():
    torch.manual_seed(0)
    model = with_dead(Net(padding=1), "a", 1, 0.5)
    with torch.no_grad():
        centre = model.b.weight[:, 1, 1, 1].clone()
        model.b.weight[:, 1] = 0
        model.b.weight[:, 1, 1, 1] = centre
    before = copy.deepcopy(model)
    tt.fold(model, inputs((1, 9, 9), 1, torch.float64))
    assert not model.b.weight[:, 1].any()
    assert difference(model, before, inputs((1, 9, 9), 3, torch.float64)) < 1e-10


class Branches(nn.Module):
    """A layer that two others read, put together in several ways."""

    def __init__(self, how):
        super().__init__()
        self.a = nn.Linear(4, 5)
        self.b = nn.Linear(5, 5)
        self.c = nn.Linear(10 if how == "cat" else 5, 3)
        self.how = how

    def forward(self, x):
        a = F.relu(self.a(x))
        b = torch.tanh(self.b(a))
        if self.how == "sum":
            return self.c(a + b)
        if self.how == "cat":
            return self.c(torch.cat([a, b], dim=1))
        if self.how == "product":
            return self.c(a * b)
        return self.c(b), a


@pytest.mark.parametrize("how", ["sum", "cat", "product"])
@pytest.mark.parametrize("b_is_dead", [False, True])
def test_joins_are_exact(how, b_is_dead):
    torch.manual_seed(1)
    model = with_dead(Branches(how), "a", 2, 0.7)
    if b_is_dead:
        with_dead(model, "b", 2, 0.3)
    before = copy.deepcopy(model)
    tt.fold(model, torch.zeros(1, 4, dtype=torch.float64))
    assert difference(model, before, inputs((4,), 9, torch.float64)) < 1e-10
    assert not model.b.weight[:, 2].any()
    if how == "cat":  # each part is handed on by itself
        assert not model.c.weight[:, 2].any()
        assert bool(model.c.weight[:, 7].any()) is not b_is_dead
        assert not model.a.bias[2]
    else:  # what is constant is the sum; without it the neuron's bias is still at work
        assert bool(model.c.weight[:, 2].any()) is not b_is_dead
        assert bool(model.a.bias[2]) is not b_is_dead


def test_what_an_output_shows_is_kept():
    torch.manual_seed(1)
    model = with_dead(Branches("both"), "a", 2, 0.7)
    before = copy.deepcopy(model)
    folding = tt.fold(model, torch.zeros(1, 4, dtype=torch.float64))
    x = inputs((4,), 9, torch.float64)
    for a, b in zip(model(x), before(x), strict=True):
        assert torch.allclose(a, b, rtol=0, atol=1e-10)
    assert not model.b.weight[:, 2].any()
    assert torch.equal(model.a.bias[2], before.a.bias[2])
    assert folding.layers[0].left == 1
    last = nn.Sequential(nn.Linear(2, 2))
    with_dead(last, "0", 0, 1.0)
    assert tt.fold(last, torch.zeros(1, 2, dtype=torch.float64)).parameters == ()
    assert float(last[0].bias[0].detach()) == 1.0


@pytest.mark.parametrize("of", ["weight", "bias", "module", "forward"])
def test_what_is_used_twice_is_left_alone(of):
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = nn.Linear(4, 4)
            self.b = nn.Linear(4, 4)
            self.c = nn.Linear(4, 4)
            if of == "weight":
                self.c.weight = self.b.weight
            if of == "bias":
                self.c.bias = self.b.bias

        def forward(self, x):
            x = F.relu(self.a(x))
            x = F.relu(self.b(x))
            if of == "module":
                return self.b(x)
            return F.linear(x, self.b.weight, self.c.bias) if of == "forward" else self.c(x)

    torch.manual_seed(2)
    model = with_dead(Twice(), "a", 1, 0.7)
    with torch.no_grad():
        model.b.weight[:, 3] = 0  # read by nobody
    before = copy.deepcopy(model)
    tt.fold(model, torch.zeros(1, 4, dtype=torch.float64))
    assert difference(model, before, inputs((4,), 9, torch.float64)) < 1e-10
    if of != "bias":
        assert torch.equal(model.b.weight, before.b.weight)
    if of != "weight":
        assert torch.equal(model.b.bias, before.b.bias)
    assert not model.a.weight[3].any()


def test_only_what_is_allowed_changes():
    torch.manual_seed(4)
    start = with_dead(nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 3)), "0", 1, 0.5)
    with torch.no_grad():
        start[0].weight[2], start[0].bias[2] = 0, -1.0  # the constant 0
        start[2].weight[:, 3] = 0
    x = torch.zeros(1, 4, dtype=torch.float64)

    def changed(**limits):
        model = copy.deepcopy(start)
        folding = tt.fold(model, x, **limits)
        assert difference(model, start, inputs((4,), 9, torch.float64)) < 1e-10
        assert [p.name for p in folding.parameters] == [
            name for (name, p), q in zip(model.named_parameters(), start.parameters(), strict=True) if (p != q).any()
        ]
        return model, {p.name: (p.zeroed, p.filled, p.shifted) for p in folding.parameters}

    everything = {"0.weight": (4, 0, 0), "0.bias": (3, 0, 0), "2.weight": (6, 0, 0), "2.bias": (0, 0, 3)}
    assert changed()[1] == everything
    assert changed(allowed=set(everything))[1] == everything
    assert changed(allowed=set())[1] == {}
    # The reader's bias must stay: neuron 1 is left alone, neuron 2 hands on nothing.
    limited = {"0.weight": (4, 0, 0), "0.bias": (2, 0, 0), "2.weight": (3, 0, 0)}
    assert changed(allowed={"0.weight", "0.bias", "2.weight"})[1] == limited
    assert changed(only_zero={"2.bias", "0.bias"})[1] == limited
    assert changed(allowed={"0.bias"})[1] == {"0.bias": (1, 0, 0)}
    assert changed(allowed={"2.weight"})[1] == {"2.weight": (3, 0, 0)}
    assert changed(allowed={"2.weight", "2.bias"})[1] == {"2.weight": (6, 0, 0), "2.bias": (0, 0, 3)}


def test_the_model_is_as_it_was_but_for_values():
    torch.manual_seed(0)
    model = pruned(DigitsNet(), 0.02).train()
    model.fc1.eval()
    model.conv1.weight.requires_grad_(False)
    parameters, names = dict(model.named_parameters()), set(vars(model))
    tt.fold(model, torch.zeros(1, 1, 8, 8))
    assert model.training
    assert model.conv1.training
    assert not model.fc1.training
    assert not model.conv1.weight.requires_grad
    assert model.fc1.weight.requires_grad
    assert all(p is parameters[name] for name, p in model.named_parameters())
    assert set(vars(model)) == names


def test_low_precision_is_rounded_once():
    torch.manual_seed(0)
    model = pruned(mlp([5, 6, 6, 4, 3], nn.ReLU), 0.25).to(torch.bfloat16)
    exact = copy.deepcopy(model).double()
    tt.fold(exact, inputs((5,), 1, torch.float64))
    tt.fold(model, inputs((5,), 1, torch.bfloat16))
    for a, b in zip(model.parameters(), exact.parameters(), strict=True):
        assert torch.equal(a, b.to(torch.bfloat16))
