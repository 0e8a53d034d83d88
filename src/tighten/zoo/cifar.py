"""torchvision's networks for ImageNet, made to fit the 32 by 32 pictures of CIFAR-10.

Each keeps torchvision's names and layers; only what would throw away most of a small picture is changed, as is usual.
"""

from __future__ import annotations

from typing import Any

from torch import nn

from tighten.torchvision_ops import import_torchvision

CLASSES = 10


def vgg16_cifar10() -> nn.Module:
    """VGG-16 with batch norm and one linear layer: 14,710,464 convolution and 5,120 classifier weights.

    Shape: `[N, 3, 32, 32]` to logits `[N, 10]`.
    Source: Simonyan and Zisserman, arXiv 1409.1556; the small classifier: Li et al., arXiv 1608.08710.
    """
    net = _models().vgg16_bn(num_classes=CLASSES)
    # Five poolings leave one pixel.
    net.avgpool = nn.Identity()
    net.classifier = nn.Linear(512, CLASSES)
    return _network(net)


def resnet18_cifar10() -> nn.Module:
    """ResNet-18 with a 3 by 3 first convolution and no first pooling: 11,164,352 weights.

    Shape: `[N, 3, 32, 32]` to logits `[N, 10]`.
    Source: He et al., arXiv 1512.03385; the first layer: that of section 4.2 there.
    """
    return _small_start(_models().resnet18(num_classes=CLASSES))


def resnet50_cifar10() -> nn.Module:
    """ResNet-50 with a 3 by 3 first convolution and no first pooling: 23,467,712 weights.

    Shape, Source: as `resnet18_cifar10`.
    """
    return _small_start(_models().resnet50(num_classes=CLASSES))


def mobilenet_v2_cifar10() -> nn.Module:
    """MobileNet-V2 whose first convolution and second group of blocks keep the size: 2,202,560 weights.

    Shape: `[N, 3, 32, 32]` to logits `[N, 10]`.
    Source: Sandler et al., arXiv 1801.04381.
    """
    net = _models().mobilenet_v2(num_classes=CLASSES)
    for convolution in (net.features[0][0], net.features[2].conv[1][0]):
        convolution.stride = (1, 1)
    return _network(net)


def _small_start(net: Any) -> nn.Module:
    net.conv1 = nn.Conv2d(3, 64, 3, padding=1, bias=False)
    nn.init.kaiming_normal_(net.conv1.weight, mode="fan_out", nonlinearity="relu")
    net.maxpool = nn.Identity()
    return _network(net)


def _models() -> Any:
    return import_torchvision().models


def _network(net: Any) -> nn.Module:
    found: nn.Module = net
    return found
