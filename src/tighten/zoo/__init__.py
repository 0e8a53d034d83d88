"""Small reference networks, written plainly."""

from tighten.zoo.digits_net import DigitsNet
from tighten.zoo.lenet import LeNet5
from tighten.zoo.resnet import ResNet20

__all__ = ["DigitsNet", "LeNet5", "ResNet20"]
