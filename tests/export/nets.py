"""Small networks and their artifacts."""

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

import tighten as tt
from tighten.artifact import Artifact
from tighten.export import Network

LENET5 = Path(__file__).parents[2] / "results" / "lenet5"
SHAPE = (2, 6, 6)


class Net(nn.Module):
    """A network with a batch norm, a residual sum and a padding of channels."""

    def __init__(self):
        super().__init__()
        self.a = nn.Conv2d(2, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.b = nn.Conv2d(4, 6, 3, padding=1, bias=False)
        self.c = nn.Linear(6 * 9, 7)
        self.d = nn.Linear(7, 3)

    def forward(self, x):
        x = F.relu(self.norm(self.a(x)))
        x = F.relu(self.b(x) + F.pad(x, (0, 0, 0, 0, 1, 1)))
        return self.d(F.relu(self.c(F.max_pool2d(x, 2).flatten(1))))


def drawn(model, seed=0):
    """The model with all its tensors drawn, in eval mode."""
    generator = torch.Generator().manual_seed(seed)
    for value in model.state_dict().values():
        if value.is_floating_point():
            value.copy_(torch.rand(value.shape, generator=generator) * 0.6 - 0.2)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_var.abs_().add_(0.5)
    return model.eval()


def constrained(model, sets, meta=None):
    """The artifact of a model whose tensors are brought to sets; the model holds them, too."""
    state = model.state_dict()
    codes = {name: set_.fit(state[name]) for name, set_ in sets.items()}
    for name, code in codes.items():
        state[name].copy_(code.dense())
    return Artifact.of(state, codes, meta or {})


MIXED = {
    "a.weight": tt.Sparse(density=0.3),
    "b.weight": tt.Uniform(bits=3, per_channel=True),
    "c.weight": tt.Sparse(density=0.4) & tt.Uniform(bits=3, zero=False),
    "d.weight": tt.Uniform(bits=8),
}


def mixed():
    """A model and its artifact: free values, a scale for each output, a pruned and quantized and an 8-bit tensor."""
    model = drawn(Net())
    return model, constrained(model, MIXED)


def network_of(model, artifact, shape=SHAPE):
    return lambda: Network.of(artifact, model, shape)


def inputs(count, shape=SHAPE, seed=5):
    return torch.randn(count, *shape, generator=torch.Generator().manual_seed(seed))


def same_bits(one, other):
    """Whether two tensors are equal to the last bit, the sign of zero included."""
    return one.dtype == other.dtype and one.shape == other.shape and one.numpy().tobytes() == other.numpy().tobytes()
