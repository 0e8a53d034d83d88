"""Each rule against the derivative of its operation, and folding through each operation."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import tighten as tt
from tighten.folding.facts import constants, reads
from tighten.folding.trace import trace

UNDERSTOOD = {
    "relu": F.relu,
    "torch.relu": torch.relu,
    "x.relu": lambda x: x.relu(),
    "relu in place": lambda x: F.relu(x * 2.0, inplace=True),
    "x.relu_": lambda x: (x + 0.5).relu_(),
    "leaky": lambda x: F.leaky_relu(x, 0.1),
    "hardtanh": F.hardtanh,
    "tanh": torch.tanh,
    "sigmoid": lambda x: x.sigmoid(),
    "gelu": F.gelu,
    "clamp": lambda x: x.clamp(min=0.1),
    "neg": lambda x: -x,
    "dropout": lambda x: F.dropout(x, 0.5, training=False),
    "modules": nn.Sequential(
        *(nn.ReLU6(), nn.LeakyReLU(), nn.Hardtanh(), nn.Sigmoid(), nn.Tanh(), nn.GELU(), nn.SiLU(), nn.ELU()),
        *(nn.Softplus(), nn.Identity(), nn.Dropout(), nn.ReLU(inplace=True)),
    ),
    "max_pool2d": lambda x: F.max_pool2d(x, 3, 2, 1),
    "max_pool2d ceil": lambda x: F.max_pool2d(x, (2, 3), stride=(3, 2), ceil_mode=True),
    "torch.max_pool2d": lambda x: torch.max_pool2d(x, 2),
    "avg_pool2d": lambda x: F.avg_pool2d(x, 3, 2, 1, count_include_pad=False),
    "avg_pool2d negative": lambda x: F.avg_pool2d(x, 2, divisor_override=-3),
    "adaptive": lambda x: F.adaptive_avg_pool2d(x, (4, 3)),
    "adaptive max": lambda x: F.adaptive_max_pool2d(x, (4, 3)),
    "pool modules": nn.Sequential(nn.MaxPool2d(2, 1, ceil_mode=True), nn.AvgPool2d(2, 1), nn.AdaptiveAvgPool2d(3)),
    "adaptive max module": nn.AdaptiveMaxPool2d((4, 5)),
    "flatten": lambda x: x.flatten(1),
    "torch.flatten": lambda x: torch.flatten(x, 2),
    "view": lambda x: x.view(x.size(0), -1),
    "reshape": lambda x: x.reshape(x.shape[0], x.shape[1] * 6, 6),
    "shape arithmetic": lambda x: torch.reshape(x, (-1, x.size(2) // 2)),
    "permute": lambda x: x.permute(0, 2, 3, 1).contiguous(),
    "transpose": lambda x: torch.transpose(x, 1, 2),
    "squeeze": lambda x: torch.unsqueeze(x.squeeze(0), 1),
    "flatten module": nn.Sequential(nn.Flatten(2), nn.Unflatten(2, (4, 9))),
    "mean": lambda x: x.mean(dim=(2, 3)),
    "torch.sum": lambda x: torch.sum(x, 1, keepdim=True),
    "slice": lambda x: x[:, 1:, ::2, -1],
    "pad": lambda x: F.pad(x, (1, 0, 2, 0, 0, 1), value=3.0),
    "reflect": lambda x: F.pad(x, (1, 2, 0, 1), mode="reflect"),
    "zero pad": nn.ZeroPad2d(1),
    "groups": nn.Conv2d(2, 4, 3, groups=2),
    "shuffled channels": lambda x: x.transpose(1, 2).contiguous().view(x.shape[0], 2, -1),
    "cat": lambda x: torch.cat([x, -x[:, :1]], dim=1),
    "stack": lambda x: torch.stack((x, x.tanh()), 2),
    "sum": lambda x: x[:, :, 1:] + x[:, :, :-1] + 2,
    "rsub": lambda x: 1 - x.add(x.mean(dim=1, keepdim=True)),
    "product": lambda x: x * x[:, :1],
    "expand": lambda x: x[:, :, :1].expand(-1, -1, 6, -1) * 0.5,
    "repeat": lambda x: x.repeat(1, 1, 2, 1),
}
OPAQUE = {
    "softmax": lambda x: torch.softmax(x, 1),
    "layer norm": nn.LayerNorm((6, 6)),
    "random": lambda x: F.dropout(x, 0.0, training=True),
    "dilated": lambda x: F.max_pool2d(x, 2, dilation=2),
    "dilated module": nn.MaxPool2d(2, 1, dilation=2),
    "indices": lambda x: F.max_pool2d(x, 2, return_indices=True)[0],
    "divisor": nn.AvgPool2d(2, divisor_override=3),
    "running statistics": nn.BatchNorm2d(2, track_running_stats=False),
    "sort": lambda x: x.sort(dim=1)[0],
    "mask": lambda x: x * (x > 0),
    "where": lambda x: torch.where(x > 0, x, -x),
    "item": lambda x: x * x.sum().item(),
    "type": lambda x: x.float(),
    "chunk": lambda x: x.chunk(2, 1)[1],
    "power": lambda x: 1.0**x,
    "division": lambda x: x / x.abs().sum(),
}


class Between(nn.Module):
    """An operation with nothing around it."""

    def __init__(self, operation):
        super().__init__()
        self.operation = operation

    def forward(self, x):
        return self.operation(x)


@torch.no_grad()
def changes(function, x, step):
    """Which outputs change when one input does: `[inputs, outputs]`."""
    steps = step * torch.eye(x.numel(), dtype=x.dtype)
    before = function(x.clone()).reshape(-1)
    return torch.stack([function(x + one.view(x.shape)).reshape(-1) != before for one in steps])


@pytest.mark.parametrize("name", UNDERSTOOD)
def test_a_rule_says_exactly_what_depends_on_what(name):
    traced = trace(Between(UNDERSTOOD[name]), (torch.zeros(1, 2, 6, 6),))
    assert not isinstance(traced, str)
    assert traced.opaque == []
    generator = torch.Generator().manual_seed(0)
    points = [torch.randn(1, 2, 6, 6, generator=generator, dtype=torch.float64) for _ in range(2)]
    # A large step makes an entry the largest of its window, or lifts it over what a ReLU lets through.
    depends = torch.stack([changes(traced.model, x, step) for x in points for step in (10.0, -3.0)]).any(0)
    (start,) = [n for n in traced.graph.nodes if n.op == "placeholder"]
    (end,) = next(n for n in traced.graph.nodes if n.op == "output").all_input_nodes
    nothing = torch.zeros(1, 2, 6, 6, dtype=torch.float64)
    assert torch.equal(changes(lambda x: run_spread(traced, start, end, x), nothing, 1.0), depends)


def run_spread(traced, start, end, x):
    found = {start: x}
    for node in traced.rules:
        found[node] = traced.rules[node].spread(
            *torch.fx.map_arg(node.args, lambda n: found[n] if n in found else traced.sizes[n]),
            **torch.fx.map_arg(node.kwargs, lambda n: found[n] if n in found else traced.sizes[n]),
        )
    return found[end]


class Sandwich(nn.Module):
    """A convolution, an operation, and all entries of that into a linear layer."""

    def __init__(self, operation):
        super().__init__()
        self.first = nn.Conv2d(1, 2, 3, bias=True)
        self.operation = operation
        with torch.no_grad():
            width = operation(torch.zeros(1, 2, 6, 6)).numel()
        self.last = nn.Linear(width, 3)

    def forward(self, x):
        return self.last(torch.flatten(self.operation(self.first(x)), 1).reshape(x.size(0), -1))


@pytest.mark.parametrize("name", [*UNDERSTOOD, *OPAQUE])
@pytest.mark.parametrize("bias", [-0.4, 0.8])
def test_folding_through_an_operation_changes_nothing(name, bias):
    torch.manual_seed(0)
    operation = UNDERSTOOD.get(name) or OPAQUE[name]
    if isinstance(operation, nn.Module):
        operation.eval()
    model = Sandwich(operation).eval()
    with torch.no_grad():
        model.first.weight[0], model.first.bias[0] = 0, bias
        model.last.weight[:, -1] = 0
    before = copy.deepcopy(model)
    folding = tt.fold(model, torch.zeros(1, 1, 8, 8))
    assert folding.reason is None
    for seed in range(3):
        x = torch.randn(1, 1, 8, 8, generator=torch.Generator().manual_seed(seed))
        assert torch.allclose(model(x), before(x), atol=1e-5)
    if name in UNDERSTOOD and name not in ("torch.sum", "rsub"):  # these mix every constant with something else
        assert folding.parameters


@pytest.mark.parametrize("name", OPAQUE)
def test_what_is_not_understood_is_read_and_may_be_anything(name):
    traced = trace(Between(OPAQUE[name]), (torch.zeros(1, 2, 6, 6),))
    assert not isinstance(traced, str)
    assert traced.opaque
    known, read = constants(traced), reads(traced)
    (start,) = [n for n in traced.graph.nodes if n.op == "placeholder"]
    assert bool(read[start].all())
    assert all(bool((known[n].unknown == 1).all()) for n in traced.opaque if n in known)


def test_known_values_are_those_of_the_layer():
    norm = nn.BatchNorm2d(2).eval()
    with torch.no_grad():
        norm.weight.copy_(torch.tensor([0.0, 2]))
        norm.bias.copy_(torch.tensor([0.5, 1]))
        norm.running_mean.fill_(3)
    model = nn.Sequential(nn.Conv2d(1, 2, 3), norm, nn.LeakyReLU(0.5), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    with torch.no_grad():
        model[0].weight[1], model[0].bias[1] = 0, 1
    traced = trace(model.eval(), (torch.zeros(1, 1, 4, 4),))
    (end,) = next(n for n in traced.graph.nodes if n.op == "output").all_input_nodes
    known = constants(traced)[end]
    assert known.unknown.tolist() == [[0, 0]]
    assert known.value[0].tolist() == pytest.approx([0.5, 0.5 * (1 + 2 * (1 - 3) / (1 + norm.eps) ** 0.5)])


def test_what_goes_through_batch_norm_is_folded_with_it():
    torch.manual_seed(0)
    model = nn.Sequential(
        *(nn.Conv2d(1, 3, 3, bias=False), nn.BatchNorm2d(3), nn.ReLU(), nn.Flatten()),
        *(nn.Linear(12, 4, bias=False), nn.BatchNorm1d(4), nn.Tanh(), nn.Linear(4, 2)),
    ).eval()
    with torch.no_grad():
        for norm in (model[1], model[5]):
            norm.running_mean.normal_()
            norm.weight.add_(0.3)
            norm.bias.fill_(0.5)
        model[0].weight[0] = 0
        model[1].running_mean[0] = 3.0  # a constant below zero: the ReLU gives 0
        model[7].weight[:, 1] = 0
        model[5].weight[2] = 0
    before = copy.deepcopy(model)
    folding = tt.fold(model, torch.zeros(1, 1, 4, 4))
    x = torch.randn(20, 1, 4, 4)
    assert torch.allclose(model(x), before(x), atol=1e-5)
    assert [(line.name, line.constant, line.unread) for line in folding.layers] == [("0", 1, 0), ("4", 0, 2)]
    assert not model[4].weight[:, :4].any()  # the constant channel
    assert model[1].weight[0] == model[1].bias[0] == 0
    assert not model[4].weight[1:3].any()  # one is read by nobody, the other only by a factor of 0
    assert model[5].weight[1] == model[5].bias[1] == model[5].bias[2] == 0
    assert not model[7].weight[:, 2].any()
