"""Reference networks: small ones written plainly, large ones of torchvision made to fit CIFAR-10."""

from tighten.zoo.cifar import mobilenet_v2_cifar10, resnet18_cifar10, resnet50_cifar10, vgg16_cifar10
from tighten.zoo.digits_net import DigitsNet
from tighten.zoo.lenet import LeNet5
from tighten.zoo.resnet import ResNet20

__all__ = [
    "DigitsNet",
    "LeNet5",
    "ResNet20",
    "mobilenet_v2_cifar10",
    "resnet18_cifar10",
    "resnet50_cifar10",
    "vgg16_cifar10",
]
