from __future__ import annotations

import pytest
import torch
from torch import nn

from tighten.runtime.linear import CsrLinear, ShrunkLinear
from tighten.runtime.live import bias_of, some


def layer_of(density: float, bias: bool = True) -> nn.Linear:
    torch.manual_seed(1)
    layer = nn.Linear(60, 40, bias=bias).requires_grad_(False)
    layer.weight *= torch.rand_like(layer.weight) < density
    layer.weight[5:30] = 0
    layer.weight[:, 20:50] = 0
    return layer


@pytest.mark.parametrize("kernel", [CsrLinear, ShrunkLinear])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("density", [0.0, 0.1, 1.0])
@pytest.mark.parametrize("shape", [(60,), (1, 60), (3, 60), (70, 60), (1, 7, 60), (2, 3, 4, 60)])
def test_gives_what_the_layer_gives(kernel, bias, density, shape):
    layer = layer_of(density, bias)
    x = torch.randn(shape)
    found = kernel(layer)(x)
    assert found.shape == layer(x).shape
    assert torch.allclose(found, layer(x), atol=1e-5)
    if len(shape) == 2:
        strided = x.t().contiguous().t()
        assert torch.allclose(kernel(layer)(strided), layer(x), atol=1e-5)


@pytest.mark.parametrize("kernel", [CsrLinear, ShrunkLinear])
def test_the_result_is_its_own(kernel):
    layer = layer_of(0.0)
    made, x = kernel(layer), torch.randn(2, 60)
    made(x).zero_()
    assert torch.allclose(made(x), layer.bias.expand(2, -1))


def test_a_few_dead_parts_are_not_taken_out():
    alive = torch.ones(20, dtype=torch.bool)
    assert some(alive) is None
    alive[3] = False
    assert some(alive) is None
    assert some(torch.zeros(3, dtype=torch.bool)).tolist() == [0]
    alive[10:] = False
    assert some(alive).tolist() == [0, 1, 2, 4, 5, 6, 7, 8, 9]


def test_the_bias_is_a_copy():
    layer = nn.Linear(2, 3)
    bias_of(layer).zero_()
    assert layer.bias.count_nonzero() == 3
    assert bias_of(nn.Linear(2, 3, bias=False)).tolist() == [0, 0, 0]
