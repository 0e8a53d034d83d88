"""Networks with known dead neurons."""

import torch
import torch.nn.functional as F
from torch import nn

from tighten.zoo import ResNet20


def drawn(model, seed=0):
    """Biases that are not zero, batch norms as after training; in eval mode."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in model.parameters():
            if p.ndim == 1:
                p.add_(0.1 * torch.randn(p.shape, generator=generator))
        for name, b in model.named_buffers():
            if name.endswith("running_mean"):
                b.copy_(torch.randn(b.shape, generator=generator))
            if name.endswith("running_var"):
                b.copy_(0.5 + torch.rand(b.shape, generator=generator))
    return model.eval()


def pruned(model, density, seed=0):
    """Random supports."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in drawn(model, seed).parameters():
            if p.ndim > 1:
                p.mul_(torch.rand(p.shape, generator=generator) < density)
    return model


@torch.no_grad()
def deafen(model, reader, columns):
    """A layer that reads some of its inputs no more."""
    model.get_submodule(reader).weight[:, columns] = 0
    return model


@torch.no_grad()
def silence(model, layers, channels):
    """Neurons that are zero whatever comes in."""
    for layer in layers:
        module = model.get_submodule(layer)
        module.weight[channels] = 0
        if module.bias is not None:
            module.bias[channels] = 0
    return model


def resnet(inner=(), stage=()):
    """A ResNet-20 without these channels inside each block, and without these on the way of each shortcut."""
    torch.manual_seed(0)
    model = drawn(ResNet20())
    blocks = [f"layer{i}.{j}" for i in (1, 2, 3) for j in range(3)]
    for block in blocks:
        silence(model, [f"{block}.conv1", f"{block}.bn1"], list(inner))
    for at, shift in ((1, 0), (2, 8), (3, 24)):
        own = [f"layer{at}.{j}.{name}" for j in range(3) for name in ("conv2", "bn2")]
        silence(model, [*own, *(["conv1", "bn1"] if at == 1 else [])], [c + shift for c in stage])
    return model


def inputs(*shape, seed=1, dtype=torch.float32):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).to(dtype)


@torch.no_grad()
def apart(a, b, x):
    return float((a(x) - b(x)).abs().max())


class Net(nn.Module):
    """Two convolutions and a classifier."""

    def __init__(self, **second):
        super().__init__()
        self.a = nn.Conv2d(1, 4, 3)
        self.b = nn.Conv2d(4, 6, 3, **second)
        self.c = nn.Linear(6, 2)

    def forward(self, x):
        return self.c(F.relu(self.b(F.relu(self.a(x)))).mean((2, 3)))


def widths(compact):
    return {layer.name: (layer.inputs_after, layer.after) for layer in compact.layers}
