from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import fx, nn

from tighten.runtime.graph import prepare, trace
from tighten.zoo import LeNet5, ResNet20


def trained_norms(model: nn.Module) -> nn.Module:
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
            nn.init.normal_(module.weight)
    return model.eval().requires_grad_(False)


def ready(model: nn.Module) -> fx.GraphModule:
    network = trace(model)
    assert isinstance(network, fx.GraphModule), network
    prepare(network)
    return network


def called(network: fx.GraphModule) -> list[type]:
    return [type(network.get_submodule(n.target)) for n in network.graph.nodes if n.op == "call_module"]


@pytest.mark.parametrize(("net", "shape"), [(LeNet5, (3, 1, 28, 28)), (ResNet20, (3, 3, 32, 32))])
def test_the_prepared_network_computes_the_same_and_the_model_stays(net, shape):
    torch.manual_seed(0)
    model = trained_norms(net())
    before = copy.deepcopy(model.state_dict())
    x = torch.randn(shape)
    expected = model(x)
    network = ready(model)
    assert torch.allclose(network(x), expected, atol=1e-4)
    assert torch.equal(model(x), expected)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_batch_norm_is_folded_and_pooling_becomes_a_layer():
    network = ready(trained_norms(ResNet20()))
    assert not any(isinstance(module, nn.BatchNorm2d) for module in network.modules())
    assert called(ready(LeNet5())).count(nn.MaxPool2d) == 2


class Names(nn.Module):
    """Its layer has the name that the function's node gets."""

    def __init__(self):
        super().__init__()
        self.max_pool2d = nn.Linear(4, 4)

    def forward(self, x):
        return self.max_pool2d(F.max_pool2d(x, kernel_size=2))


def test_a_name_that_is_taken_is_left_alone():
    model, x = Names().eval(), torch.randn(1, 2, 8, 8)
    network = ready(model)
    assert called(network) == [nn.MaxPool2d, nn.Linear]
    assert torch.equal(network(x), model(x))


class Shared(nn.Module):
    """A convolution with two readers, and one that is called twice: neither may take up a batch norm."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = (nn.Conv2d(2, 2, 3, padding=1) for _ in range(3))
        self.na, self.nb, self.nc = (nn.BatchNorm2d(2) for _ in range(3))

    def forward(self, x):
        y = self.a(x)
        z = self.na(y) + F.relu(y)
        z = self.nb(self.b(self.b(z)))
        return self.nc(F.relu(self.c(z)))


def test_what_others_read_is_not_folded_nor_overwritten():
    torch.manual_seed(0)
    model = trained_norms(Shared())
    network = ready(model)
    assert called(network).count(nn.BatchNorm2d) == 3
    x = torch.randn(2, 2, 6, 6)
    assert torch.allclose(network(x), model(x), atol=1e-5)


def test_hooks_keep_a_layer_as_it_is():
    model = trained_norms(nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU()))
    model[0].register_forward_hook(lambda module, args, output: output + 1)
    network = ready(model)
    assert nn.BatchNorm2d in called(network)
    x = torch.randn(1, 1, 5, 5)
    assert torch.allclose(network(x), model(x))


def test_a_relu_overwrites_only_what_it_alone_reads():
    network = ready(nn.Sequential(nn.Linear(3, 3), nn.ReLU(), nn.Linear(3, 3)).eval())
    assert [n.target for n in network.graph.nodes if n.op == "call_function"] == [torch.relu_]
    network = ready(nn.Sequential(nn.ReLU(), nn.Linear(3, 3)).eval())
    x = torch.tensor([[-1.0, 2.0, -3.0]])
    network(x)
    assert x.tolist() == [[-1.0, 2.0, -3.0]]


def test_what_idles_in_inference_is_dropped():
    network = ready(nn.Sequential(nn.Dropout(), nn.Linear(3, 3), nn.Identity(), nn.ReLU()).eval())
    assert [n.op for n in network.graph.nodes] == ["placeholder", "call_module", "call_function", "output"]


def test_a_relu_goes_behind_the_pooling_that_alone_reads_it():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(2, 3, 3), nn.ReLU(), nn.MaxPool2d(2, padding=1), nn.Conv2d(3, 2, 1)).eval()
    network, x = ready(model), torch.randn(1, 2, 9, 9)
    assert [n.target for n in network.graph.nodes][1:-1] == ["0", "2", torch.relu_, "3"]
    assert torch.equal(network(x), model(x))


class Both(nn.Module):
    """A ReLU that pooling and something else read."""

    def __init__(self):
        super().__init__()
        self.conv, self.pool = nn.Conv2d(2, 2, 3), nn.MaxPool2d(2)

    def forward(self, x):
        y = F.relu(self.conv(x))
        return self.pool(y), y


def test_a_relu_that_others_read_stays_before_the_pooling():
    model, x = Both().eval(), torch.randn(1, 2, 8, 8)
    network = ready(model)
    assert called(network) == [nn.Conv2d, nn.MaxPool2d]
    assert all(map(torch.equal, network(x), model(x)))
    assert [n.target for n in network.graph.nodes][1:3] == ["conv", torch.relu_]


class Views(nn.Module):
    def forward(self, x):
        return x.view(x.size(0), -1)


def test_views_take_any_memory_order():
    x = torch.randn(2, 3, 4, 4).contiguous(memory_format=torch.channels_last)
    with pytest.raises(RuntimeError):
        Views()(x)
    assert torch.equal(ready(Views())(x), x.flatten(1))


class Branch(nn.Module):
    def forward(self, x):
        return x if x.sum() > 0 else -x


def test_what_cannot_be_traced_says_why():
    assert "Branch cannot be traced" in trace(Branch())
