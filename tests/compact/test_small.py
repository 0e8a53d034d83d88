"""Smaller networks against oracles: what lies on a path, numbers counted by hand, and the networks of the zoo."""

import copy
from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F
from tests.compact.nets import Net, apart, deafen, drawn, inputs, pruned, resnet, silence, widths
from torch import nn

import tighten as tt
from tighten.zoo import DigitsNet, LeNet5, ResNet20


def alive(weights):
    """Brute force: for each layer of neurons, how many have a way to them from an input and from them to an output."""
    reached = [[True] * weights[0].shape[1]]
    for w in weights:
        reached.append(
            [any(bool(weight) and known for weight, known in zip(row, reached[-1], strict=True)) for row in w]
        )
    heard = [[True] * len(weights[-1])]
    for w in reversed(weights):
        heard.insert(0, [any(bool(weight) and known for weight, known in zip(c, heard[0], strict=True)) for c in w.T])
    return [sum(a and b for a, b in zip(*pair, strict=True)) for pair in zip(reached, heard, strict=True)]


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("activation", [nn.ReLU, nn.Tanh, nn.Sigmoid])
def test_just_the_neurons_on_a_way_from_input_to_output_stay(seed, activation):
    torch.manual_seed(seed)
    layers = [part for a, b in pairwise([5, 7, 6, 8, 3]) for part in (nn.Linear(a, b), activation())]
    model = pruned(nn.Sequential(*layers[:-1]).double(), 0.25, seed)
    expected = alive([layer.weight for layer in model[::2]])[1:-1]
    small = tt.compact(model, torch.zeros(1, 5, dtype=torch.float64))
    assert [layer.after for layer in small.layers] == [*(max(n, 1) for n in expected), 3]
    assert apart(model, small.model, inputs(50, 5, dtype=torch.float64)) < 1e-10


@pytest.mark.parametrize(
    ("net", "shape", "density", "dtype", "tolerance"),
    [
        (LeNet5, (1, 28, 28), 0.005, torch.float32, 1e-5),
        (LeNet5, (1, 28, 28), 0.005, torch.float64, 1e-10),
        (DigitsNet, (1, 8, 8), 0.02, torch.float32, 1e-5),
        (ResNet20, (3, 8, 8), 0.02, torch.float32, 1e-5),
        (ResNet20, (3, 8, 8), 0.02, torch.float64, 1e-10),
    ],
)
def test_the_zoo_computes_the_same(net, shape, density, dtype, tolerance):
    torch.manual_seed(0)
    model = pruned(net(), density).to(dtype)
    before = copy.deepcopy(model.state_dict())
    small = tt.compact(model, torch.zeros(1, *shape, dtype=dtype))
    assert type(small.model) is net
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert apart(model, small.model, inputs(5, *shape, dtype=dtype)) < tolerance
    assert small.parameters_after < 0.95 * small.parameters_before
    assert small.macs_after < small.macs_before
    assert all(p.dtype == dtype for p in small.model.parameters())


def test_counts_by_hand():
    model = deafen(drawn(Net()), "b", [1, 3])
    deafen(model, "c", [0])
    small = tt.compact(model, torch.zeros(1, 1, 8, 8))
    assert widths(small) == {"a": (1, 2), "b": (2, 5), "c": (5, 2)}
    # Weights and biases of (1x3x3 -> 4), (4x3x3 -> 6), (6 -> 2); places 6x6, 4x4, 1.
    assert (small.parameters_before, small.parameters_after) == (40 + 222 + 14, 20 + 95 + 12)
    assert (small.macs_before, small.macs_after) == (36 * 36 + 216 * 16 + 12, 18 * 36 + 90 * 16 + 10)
    assert small.notes == ()
    assert small.model.a.out_channels == small.model.b.in_channels == 2
    assert apart(model, small.model, inputs(3, 1, 8, 8)) < 1e-6


def test_an_input_that_one_reader_leaves_out_stays_for_the_others():
    class Two(Net):
        def forward(self, x):
            a = F.relu(self.a(x))
            return self.c(F.relu(self.b(a)).mean((2, 3))), a.mean((1, 2, 3))

    model = deafen(drawn(Two()), "b", [1, 3])
    small = tt.compact(model, torch.zeros(1, 1, 8, 8))
    assert widths(small) == {"a": (1, 4), "b": (4, 6), "c": (6, 2)}
    assert [layer.idle for layer in small.layers] == [0, 2, 0]


@pytest.mark.parametrize(
    ("second", "goes"), [({}, True), ({"padding": 1}, False), ({"padding": 1, "padding_mode": "reflect"}, True)]
)
def test_a_constant_channel_goes_only_where_no_zeros_surround_it(second, goes):
    model = drawn(Net(**second))
    with torch.no_grad():
        model.a.weight[2], model.a.bias[2] = 0, 0.7
    small = tt.compact(model, torch.zeros(1, 1, 8, 8))
    assert small.model.a.out_channels == (3 if goes else 4)
    assert (
        any("'a': 1 constant of 4 neurons stay" in note and "zero padding" in note for note in small.notes) is not goes
    )
    assert apart(model, small.model, inputs(3, 1, 8, 8)) < 1e-6


def test_batch_norm_goes_with_its_channels():
    model = drawn(nn.Sequential(nn.Conv2d(2, 5, 3, bias=False), nn.BatchNorm2d(5), nn.ReLU(), nn.Conv2d(5, 3, 3)))
    deafen(model, "3", [0, 4])
    small = tt.compact(model, torch.zeros(1, 2, 8, 8))
    norm = small.model[1]
    assert norm.num_features == 3
    for name, value in norm.named_buffers():
        if name != "num_batches_tracked":
            assert torch.equal(value, getattr(model[1], name)[1:4])
    assert apart(model, small.model, inputs(3, 2, 8, 8)) < 1e-6


@pytest.mark.parametrize("stage", [(), (2, 5, 11)])
def test_a_residual_network_by_channels(stage):
    model = resnet(inner=(0, 3, 9), stage=stage)
    small = tt.compact(model, torch.zeros(1, 3, 16, 16))
    for at, width in ((1, 16), (2, 32), (3, 64)):
        for block in range(3):
            conv1, conv2 = (small.model.get_submodule(f"layer{at}.{block}.conv{i}") for i in (1, 2))
            assert conv1.out_channels == conv2.in_channels == width - 3
            assert conv2.out_channels == width - len(stage)
    assert small.model.linear.in_features == 64 - len(stage)
    assert apart(model, small.model, inputs(3, 3, 16, 16)) < 1e-5


def test_channels_that_a_shortcut_pads_stay():
    """Channel 2 of the second stage has no channel of the first: the padding gives zeros there, in a fixed number."""
    model = resnet()
    silence(model, [f"layer2.{j}.{name}" for j in range(3) for name in ("conv2", "bn2")], [2])
    small = tt.compact(model, torch.zeros(1, 3, 16, 16))
    assert small.parameters_after == small.parameters_before
    assert any("a shortcut adds channels of zeros in their place" in note for note in small.notes)


def test_a_channel_that_is_alive_further_on_stays():
    """Channel 2 of the first stage is dead, the one of the second stage that it is padded to is not."""
    model = resnet()
    silence(model, ["conv1", "bn1", *(f"layer1.{j}.{name}" for j in range(3) for name in ("conv2", "bn2"))], [2])
    small = tt.compact(model, torch.zeros(1, 3, 16, 16))
    assert small.parameters_after == small.parameters_before
    assert apart(model, small.model, inputs(3, 3, 16, 16)) < 1e-5


def test_depthwise_channels_go_and_groups_stay():
    def model(groups):
        middle = nn.Conv2d(6, 6, 3, groups=groups)
        return deafen(
            drawn(nn.Sequential(nn.Conv2d(2, 6, 1), nn.ReLU(), middle, nn.ReLU(), nn.Conv2d(6, 3, 1))), "4", [1, 4]
        )

    torch.manual_seed(0)
    depthwise, grouped = model(6), model(2)
    small = tt.compact(depthwise, torch.zeros(1, 2, 8, 8))
    assert widths(small) == {"0": (2, 4), "2": (4, 4), "4": (4, 3)}
    assert small.model[2].groups == 4
    assert apart(depthwise, small.model, inputs(3, 2, 8, 8)) < 1e-6
    small = tt.compact(grouped, torch.zeros(1, 2, 8, 8))
    assert widths(small) == {"0": (2, 6), "2": (6, 6), "4": (6, 3)}
    assert "'2': 2 unread neurons stay: a convolution in groups holds them" in small.notes
    assert apart(grouped, small.model, inputs(3, 2, 8, 8)) < 1e-6


@pytest.mark.parametrize("how", ["weight", "module"])
def test_what_is_used_twice_stays(how):
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b, self.c = nn.Linear(3, 4), nn.Linear(4, 4), nn.Linear(4, 4)
            self.d = nn.Linear(4, 2)
            if how == "weight":
                self.c.weight = self.b.weight

        def forward(self, x):
            x = F.relu(self.b(F.relu(self.a(x))))
            return self.d(F.relu(self.c(x) if how == "weight" else self.b(x)))

    model = deafen(drawn(Twice()), "d", [2])
    small = tt.compact(model, torch.zeros(1, 3))
    layers = widths(small)
    assert layers["b"] == (4, 4)
    assert layers["d"] == (4, 2)
    assert (small.model.c.weight is small.model.b.weight) is (how == "weight")
    assert apart(model, small.model, inputs(9, 3)) < 1e-6


def test_joins_and_parts():
    class Joined(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Conv2d(1, 3, 3), nn.Conv2d(1, 4, 3)
            self.c = nn.Conv2d(7, 2, 1)

        def forward(self, x):
            return self.c(torch.cat([F.relu(self.a(x)), F.relu(self.b(x))], 1))

    model = deafen(drawn(Joined()), "c", [1, 3, 6])
    small = tt.compact(model, torch.zeros(1, 1, 6, 6))
    assert widths(small) == {"a": (1, 2), "b": (1, 2), "c": (4, 2)}
    assert apart(model, small.model, inputs(3, 1, 6, 6)) < 1e-6


def test_an_empty_layer_keeps_a_neuron():
    model = drawn(nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 2)))
    deafen(model, "4", list(range(5)))
    small = tt.compact(model, torch.zeros(1, 3))
    assert widths(small) == {"0": (3, 1), "2": (1, 1), "4": (1, 2)}
    assert sum("one stays" in note for note in small.notes) == 2
    assert apart(model, small.model, inputs(3, 3)) < 1e-6


def test_a_width_that_is_written_down_stays():
    class Fixed(Net):
        def forward(self, x):
            x = F.relu(self.b(F.relu(self.a(x))))
            return self.c(x.mean((2, 3)).view(-1, 6))

    model = deafen(deafen(drawn(Fixed()), "b", [1]), "c", [0])
    small = tt.compact(model, torch.zeros(1, 1, 8, 8))
    assert widths(small) == {"a": (1, 3), "b": (3, 6), "c": (6, 2)}
    assert any("'b'" in note and "does not work without them" in note for note in small.notes)


@pytest.mark.parametrize("mix", ["softmax", "amax", "shuffle", "layer_norm"])
def test_what_mixes_channels_is_never_wrong(mix):
    class Mixed(Net):
        def forward(self, x):
            x = F.leaky_relu(self.a(x))
            if mix == "softmax":
                x = x.softmax(1)
            if mix == "amax":
                return x.amax(1)
            if mix == "layer_norm":
                x = F.layer_norm(x, x.shape[1:])
            if mix == "shuffle":
                x = x.view(-1, 2, 2, 6, 6).transpose(1, 2).reshape(-1, 4, 6, 6)
            return self.b(x)

    model = silence(drawn(Mixed()), ["a"], [2])
    deafen(model, "b", [1, 2])
    small = tt.compact(model, torch.zeros(1, 1, 8, 8))
    assert small.model.a.out_channels == 4
    assert apart(model, small.model, inputs(9, 1, 8, 8)) < 1e-6
    assert any((mix if mix != "shuffle" else "work without them") in note for note in small.notes)


def test_modes_and_gradients_are_those_of_the_model():
    model = deafen(drawn(Net()), "b", [1]).train()
    model.b.eval()
    model.a.weight.requires_grad_(False)
    small = tt.compact(model, torch.zeros(1, 1, 8, 8)).model
    assert (small.training, small.a.training, small.b.training) == (True, True, False)
    assert [p.requires_grad for p in small.parameters()] == [p.requires_grad for p in model.parameters()]
    assert model.training
    small(inputs(2, 1, 8, 8)).sum().backward()
    assert small.b.weight.grad.shape == (6, 3, 3, 3)
    assert all(p.grad is None for p in model.parameters())


def test_it_works_without_gradients_too():
    with torch.no_grad():
        assert tt.compact(deafen(drawn(Net()), "b", [1]), torch.zeros(1, 1, 8, 8)).model.a.out_channels == 3


def test_what_cannot_be_followed_is_refused():
    class Branching(Net):
        def forward(self, x):
            return super().forward(x) if x.sum() > 0 else super().forward(-x)

    with pytest.raises(tt.PlanError, match="cannot be traced"):
        tt.compact(Branching(), torch.zeros(1, 1, 8, 8))
    with pytest.raises(tt.PlanError, match="does not take the example"):
        tt.compact(Net(), torch.zeros(1, 2, 8, 8))


def test_the_extra_is_named_where_it_is_missing(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "torch_pruning", None)
    with pytest.raises(tt.PlanError, match=r"pip install 'tighten\[compact\]'"):
        tt.compact(Net(), torch.zeros(1, 1, 8, 8))
