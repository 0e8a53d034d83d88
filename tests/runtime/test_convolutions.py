"""Every way to compute a convolution against PyTorch's own, on layers of all shapes."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from tighten.runtime.conv import ChannelsLast, Convolution, Packed, ShrunkConv
from tighten.runtime.pixels import PixelCsr
from tighten.runtime.runs import RunsCsr
from tighten.runtime.unfold import MapCsr, Unfolded, map_entries
from tighten.runtime.window import Window
from tighten.runtime.winograd import LARGEST_KERNEL, Winograd

SIZE = (11, 9)
LAYERS = {
    "plain": {"kernel_size": 3},
    "padded": {"kernel_size": 3, "padding": 1},
    "uneven": {"kernel_size": (3, 2), "stride": (2, 1), "padding": (0, 2), "dilation": (1, 2)},
    "stride": {"kernel_size": 5, "stride": 3, "padding": 2},
    "dilated": {"kernel_size": 3, "padding": 2, "dilation": 2},
    "same": {"kernel_size": (4, 3), "padding": "same"},
    "valid": {"kernel_size": 2, "padding": "valid"},
    "one": {"kernel_size": 1},
    "no bias": {"kernel_size": 3, "bias": False},
    "whole": {"kernel_size": SIZE},
}
WAYS = {
    "channels-last": lambda layer, shape: ChannelsLast(layer),
    "packed": Packed,
    "shrunk": lambda layer, shape: ShrunkConv(layer),
    "winograd": lambda layer, shape: Winograd(layer),
    "unfold": lambda layer, shape: Unfolded(layer, sparse=False),
    "unfold-csr": lambda layer, shape: Unfolded(layer, sparse=True),
    "runs-csr": lambda layer, shape: RunsCsr(layer),
    "pixel-csr": lambda layer, shape: PixelCsr(layer, tuple(shape[2:])),
    "map-csr": lambda layer, shape: MapCsr(layer, tuple(shape[2:])),
}


def layer_of(kind: str, density: float = 0.3, dtype: torch.dtype = torch.float32) -> nn.Conv2d:
    torch.manual_seed(3)
    layer = nn.Conv2d(6, 8, **LAYERS[kind], dtype=dtype).requires_grad_(False)
    layer.weight *= torch.rand_like(layer.weight) < density
    layer.weight[:, 1:4] = 0  # dead inputs
    layer.weight[2:6] = 0  # dead outputs
    return layer


def works(kind: str, way: str) -> bool:
    layer = layer_of(kind)
    if way == "packed":
        return not isinstance(layer.padding, str)
    if way == "winograd":
        return set(layer.stride) == set(layer.dilation) == {1} and max(layer.kernel_size) <= LARGEST_KERNEL
    return way != "runs-csr" or set(layer.stride) == {1}


def built(way: str, layer: nn.Conv2d, shape: tuple[int, ...]) -> Convolution:
    return WAYS[way](layer, torch.Size(shape))


def orders(x: torch.Tensor) -> list[torch.Tensor]:
    """The same numbers in the memory orders that kernels leave."""
    last = x.contiguous(memory_format=torch.channels_last)
    return [x, last, x.permute(1, 2, 3, 0).contiguous().permute(3, 0, 1, 2)]


def check(kernel: Convolution, layer: nn.Conv2d, x: torch.Tensor) -> None:
    found, expected = kernel(x), layer(x)
    assert found.shape == expected.shape
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5 * max(1.0, float(expected.abs().max())))


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths")
@pytest.mark.parametrize(("kind", "way"), [(kind, way) for kind in LAYERS for way in WAYS if works(kind, way)])
def test_gives_what_the_layer_gives(kind: str, way: str) -> None:
    layer = layer_of(kind)
    for pictures in (1, 3, 40):
        x = torch.randn(pictures, 6, *SIZE)
        kernel = built(way, layer, x.shape)
        for same in (
            x,
            x.contiguous(memory_format=torch.channels_last),
            x.permute(1, 2, 3, 0).contiguous().permute(3, 0, 1, 2),
        ):
            check(kernel, layer, same)
        check(kernel, layer, x[0])


@pytest.mark.parametrize("way", WAYS)
def test_other_sizes_than_the_measured_one(way: str) -> None:
    layer = layer_of("padded")
    kernel = built(way, layer, (40, 6, *SIZE))
    for shape in ((2, 6, 11, 9), (40, 6, 13, 14), (1, 6, 5, 30), (64, 6, 11, 9)):
        check(kernel, layer, torch.randn(shape))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("density", [0.0, 1.0])
def test_nothing_and_everything_kept(way: str, density: float) -> None:
    layer = layer_of("padded", density)
    if density:
        nn.init.normal_(layer.weight)
    for pictures in (1, 40):
        check(built(way, layer, (pictures, 6, *SIZE)), layer, torch.randn(pictures, 6, *SIZE))


@pytest.mark.parametrize("way", [way for way in WAYS if way != "packed"])
def test_double_precision(way: str) -> None:
    layer = layer_of("padded", dtype=torch.float64)
    x = torch.randn(40, 6, *SIZE, dtype=torch.float64)
    torch.testing.assert_close(built(way, layer, x.shape)(x), layer(x), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("way", WAYS)
def test_under_inference_mode(way: str) -> None:
    layer = layer_of("padded")
    with torch.inference_mode():
        x = torch.randn(40, 6, *SIZE)
        check(built(way, layer, x.shape), layer, x)


@pytest.mark.parametrize("way", WAYS)
def test_the_result_is_its_own(way: str) -> None:
    """What follows may overwrite it."""
    layer = layer_of("one", density=0.0)
    kernel, x = built(way, layer, (40, 6, *SIZE)), torch.randn(40, 6, *SIZE)
    kernel(x).zero_()
    check(kernel, layer, x)


def test_parts_of_large_inputs() -> None:
    layer = layer_of("padded")
    x = torch.randn(3, 6, *SIZE)
    for kernel in (Unfolded(layer, sparse=False), Unfolded(layer, sparse=True), Winograd(layer)):
        for chunk in (1, 50, 2000):
            kernel.chunk = chunk
            check(kernel, layer, x)
    kernel = RunsCsr(layer)
    for run in (1, 50, 2000):
        kernel.run = run
        check(kernel, layer, x)


def test_winograd_saves_multiplications_and_rounds_a_little_more() -> None:
    torch.manual_seed(0)
    layer = nn.Conv2d(64, 32, 5, padding=2).requires_grad_(False)
    kernel, x = Winograd(layer), torch.randn(2, 64, 27, 27)
    assert kernel.weight.shape == (49, 64, 32)  # 49 products for nine results, where each alone takes 25
    exact = layer.double()(x.double())
    assert float((kernel(x) - exact).abs().max() / exact.abs().max()) < 1e-5


def test_packed_refuses_what_it_cannot() -> None:
    with pytest.raises(RuntimeError):
        Packed(layer_of("same"), torch.Size((1, 6, *SIZE)))


def test_map_entries_are_an_upper_bound() -> None:
    for kind in LAYERS:
        layer = layer_of(kind)
        kernel = MapCsr(layer, SIZE)
        inside = len(kernel.matrix.values)
        bound = map_entries(layer, SIZE)
        padded = any(Window.of(layer).before + Window.of(layer).after)
        assert inside <= bound if padded else inside == bound


@pytest.mark.parametrize("kind", LAYERS)
def test_windows_hold_what_the_kernel_sees(kind: str) -> None:
    """Each window, entry by entry, from the picture itself."""
    layer = layer_of(kind)
    window = Window.of(layer)
    x = torch.randn(2, *SIZE, 3)
    slid = window.slide(window.pad(x))
    assert slid.shape[3:5] == window.outputs(*SIZE)
    for i, j, y, left in torch.randint(0, 100, (40, 4)).tolist():
        i, j, y, left = i % slid.shape[1], j % slid.shape[2], y % slid.shape[3], left % slid.shape[4]
        row = y * window.stride[0] + i * window.dilation[0] - window.before[0]
        column = left * window.stride[1] + j * window.dilation[1] - window.before[1]
        inside = 0 <= row < SIZE[0] and 0 <= column < SIZE[1]
        expected = x[:, row, column] if inside else torch.zeros(2, 3)
        assert torch.equal(slid[:, i, j, y, left], expected)
