"""What goes together, in networks whose couplings are known."""

import torch
import torch.nn.functional as F
from tests.compact.nets import Net
from torch import nn

from tighten.compact.coupling import Couplings, Cut, remove
from tighten.zoo import LeNet5, ResNet20


def reached(couplings, layer, neurons):
    return {step.cut: set(step.places) for step in couplings.of(layer, neurons) if step.cut is not None}


def test_flattened_channels_reach_all_their_entries():
    couplings = Couplings(LeNet5(), torch.zeros(1, 1, 28, 28))
    assert reached(couplings, "conv2", [3]) == {Cut("conv2", True): {3}, Cut("fc1", False): set(range(48, 64))}
    assert reached(couplings, "fc1", [3, 9]) == {Cut("fc1", True): {3, 9}, Cut("fc2", False): {3, 9}}
    assert couplings.knows("conv2")
    assert not couplings.knows("fc9")


def test_padded_channels_are_counted_from_another_place():
    couplings = Couplings(ResNet20(), torch.zeros(1, 3, 16, 16))
    cuts = reached(couplings, "conv1", [5])
    assert cuts[Cut("layer1.2.conv2", True)] == cuts[Cut("layer2.0.conv1", False)] == {5}
    assert cuts[Cut("layer2.0.conv2", True)] == cuts[Cut("layer3.0.conv1", False)] == {13}
    assert cuts[Cut("layer3.1.bn2", True)] == cuts[Cut("linear", False)] == {29}
    assert Cut("layer1.0.conv1", True) not in cuts
    assert not [step for step in couplings.of("conv1", [5]) if step.obstacle]
    # From the other end: 29 is the same channel, 2 is one that padding adds.
    assert reached(couplings, "layer3.2.conv2", [29]) == cuts
    (obstacle, *_) = [step.obstacle for step in couplings.of("layer3.2.conv2", [2]) if step.obstacle]
    assert "adds channels of zeros" in obstacle


def test_padding_of_pictures_shifts_nothing():
    class Padded(Net):
        def forward(self, x):
            return self.b(F.pad(self.a(x), (3, 1, 2, 2)))

    cuts = reached(Couplings(Padded(), torch.zeros(1, 1, 8, 8)), "a", [2])
    assert cuts == {Cut("a", True): {2}, Cut("b", False): {2}}


def test_remove_takes_both_sides():
    model = Net()
    whole = model.b.weight.detach().clone()
    remove(model, {Cut("b", True): {0, 5}, Cut("b", False): {1}})
    assert (model.b.in_channels, model.b.out_channels) == (3, 4)
    assert torch.equal(model.b.weight, whole[1:5][:, [0, 2, 3]])


def test_the_model_itself_is_not_touched():
    model = Net().requires_grad_(False)
    modes = [m.training for m in model.modules()]
    Couplings(model, torch.zeros(1, 1, 8, 8))
    assert [m.training for m in model.modules()] == modes
    assert not any(p.requires_grad for p in model.parameters())
    assert not any(m._forward_hooks for m in model.modules())


def test_what_holds_channels_by_itself_is_an_obstacle():
    class Scaled(Net):
        def __init__(self):
            super().__init__()
            self.scale = nn.Parameter(torch.ones(4, 1, 1))

        def forward(self, x):
            return self.b(self.a(x) * self.scale)

    assert [step.obstacle for step in Couplings(Scaled(), torch.zeros(1, 1, 8, 8)).of("a", [1]) if step.obstacle]
