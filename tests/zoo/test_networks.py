"""The networks of the zoo against their published sizes, and ResNet-20 against weights trained elsewhere."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from tighten.data import cifar10
from tighten.zoo import (
    DigitsNet,
    LeNet5,
    ResNet20,
    mobilenet_v2_cifar10,
    resnet18_cifar10,
    resnet50_cifar10,
    vgg16_cifar10,
)


def sizes(net: nn.Module) -> dict[str, int]:
    return {name: p.numel() for name, p in net.named_parameters() if p.ndim > 1}


def test_lenet5_has_the_layers_of_the_literature() -> None:
    net = LeNet5()
    assert sizes(net) == {"conv1.weight": 500, "conv2.weight": 25_000, "fc1.weight": 400_000, "fc2.weight": 5_000}
    assert sum(p.numel() for p in net.parameters() if p.ndim == 1) == 580


def test_digits_net_has_its_documented_size() -> None:
    net = DigitsNet()
    assert sum(sizes(net).values()) == 22_416
    assert sum(p.numel() for p in net.parameters() if p.ndim == 1) == 186


def test_resnet20_has_its_documented_size() -> None:
    weights = sizes(ResNet20())
    assert weights.pop("linear.weight") == 640
    assert sum(weights.values()) == 267_696
    assert len(weights) == 19


@pytest.mark.parametrize(
    ("make", "count", "pixels"),
    [
        (vgg16_cifar10, 14_715_584, [1]),
        (resnet18_cifar10, 11_164_352, [32, 16, 8, 4]),
        (resnet50_cifar10, 23_467_712, [32, 16, 8, 4]),
        (mobilenet_v2_cifar10, 2_202_560, [4]),
    ],
)
def test_networks_for_small_pictures(make, count, pixels) -> None:
    net = make().eval()
    assert sum(sizes(net).values()) == count
    seen: list[int] = []
    parts = [net.layer1, net.layer2, net.layer3, net.layer4] if hasattr(net, "layer1") else [net.features]
    for part in parts:
        part.register_forward_hook(lambda *given: seen.append(given[2].shape[-1]))
    with torch.no_grad():
        assert net(torch.zeros(2, 3, 32, 32)).shape == (2, 10)
    assert seen == pixels


@pytest.mark.parametrize(
    ("net", "shape"), [(LeNet5(), (1, 28, 28)), (DigitsNet(), (1, 8, 8)), (ResNet20(), (3, 32, 32))]
)
def test_every_weight_takes_part(net: nn.Module, shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    logits = net(torch.randn(4, *shape))
    assert logits.shape == (4, 10)
    F.cross_entropy(logits, torch.arange(4)).backward()
    for name, p in net.named_parameters():
        assert p.grad is not None, name
        assert p.grad.abs().sum() > 0, name


@pytest.mark.slow
def test_resnet20_runs_weights_trained_elsewhere(cifar_dir: Path, pretrained_dir: Path) -> None:
    file = np.load(pretrained_dir / "cifar10_resnet20.npz")
    net = ResNet20().eval()
    missing, unexpected = net.load_state_dict({k: torch.from_numpy(file[k]) for k in file}, strict=False)
    assert all(name.endswith("num_batches_tracked") for name in missing)
    assert not unexpected
    test = cifar10(cifar_dir).test
    with torch.no_grad():
        right = (net(test.inputs[:1000]).argmax(1) == test.targets[:1000]).float().mean()
    assert right > 0.90
