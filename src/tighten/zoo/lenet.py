"""LeNet-5 in the form of the Caffe examples."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


class LeNet5(nn.Module):
    """LeNet-5 of the Caffe examples, the network of the pruning literature: 430,500 weights, 580 biases.

    The one difference from Caffe is a ReLU after each convolution; no batch norm.

    Shape: `[N, 1, 28, 28]` to logits `[N, 10]`.
    Source: LeCun et al. (1998), "Gradient-based learning applied to document recognition", with the
    layer sizes of Caffe's `lenet`.
    """

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 20, 5)
        self.conv2 = nn.Conv2d(20, 50, 5)
        self.fc1 = nn.Linear(800, 500)
        self.fc2 = nn.Linear(500, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        x = F.relu(self.fc1(x.flatten(1)))
        logits: Tensor = self.fc2(x)
        return logits
