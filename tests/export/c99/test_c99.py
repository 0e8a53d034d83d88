"""Networks as C against PyTorch: each operation, random networks, and what is refused."""

import subprocess

import pytest
import torch
import torch.nn.functional as F
from tests.export.c99.compiled import FLAGS, check, exported, gcc, pruned
from torch import nn

from tighten.artifact import Artifact
from tighten.codes import Indexed, Sparse
from tighten.errors import ArtifactError
from tighten.export.c99 import c99
from tighten.export.network import Network
from tighten.zoo import DigitsNet, ResNet20


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


class Fn(nn.Module):
    """Layers and a function of them."""

    def __init__(self, function, **layers):
        super().__init__()
        self.function = function
        for name, layer in layers.items():
            self.add_module(name, layer)

    def forward(self, x):
        return self.function(self, x)


def test_resnet20(tmp_path):
    lines = check(tmp_path, pruned(ResNet20(), 0.1), (3, 32, 32), error=1e-5)
    # One sum in each block, in the operation that computes its last convolution.
    assert sum("convolution, sum, ReLU" in line for line in lines) == 9
    assert sum("zero padding" in line for line in lines) == 2


def test_digits(tmp_path):
    check(tmp_path, pruned(DigitsNet(), 0.05), (1, 8, 8))


LAYERS = [
    nn.Conv2d(3, 8, 3),
    nn.Conv2d(3, 8, 3, padding=1),
    nn.Conv2d(3, 8, 3, stride=2, padding=1),
    nn.Conv2d(3, 8, (3, 5), padding=(0, 2), stride=(1, 2)),
    nn.Conv2d(3, 8, 3, dilation=2, padding=2),
    nn.Conv2d(3, 6, 3, groups=3, padding=1, bias=False),
    nn.Conv2d(3, 8, 1),
    nn.Conv2d(3, 8, 9),
    nn.Conv2d(3, 4, (2, 4), padding="same"),
    nn.Conv2d(3, 4, 3, padding="valid", bias=False),
    nn.Conv2d(3, 4, 9, padding=4),
    nn.BatchNorm2d(3),
    nn.BatchNorm2d(3, affine=False),
    nn.ReLU(),
    nn.ReLU6(),
    nn.Identity(),
    nn.Dropout(),
    nn.MaxPool2d(2),
    nn.MaxPool2d(3, 2, 1),
    nn.MaxPool2d((2, 3), (1, 2)),
    nn.MaxPool2d(4),
    nn.AvgPool2d(3),
    nn.AvgPool2d(3, 2, 1),
    nn.AvgPool2d(3, 2, 1, count_include_pad=False),
    nn.AdaptiveAvgPool2d(1),
    nn.AdaptiveAvgPool2d((3, None)),
    nn.AdaptiveMaxPool2d(3),
    nn.ZeroPad2d((1, 2, 0, 3)),
    nn.Flatten(),
]


@pytest.mark.parametrize("layer", LAYERS, ids=str)
def test_layer(tmp_path, layer):
    check(tmp_path, pruned(nn.Sequential(layer), 1.0), (3, 9, 9))


@pytest.mark.parametrize("layer", [layer for layer in LAYERS if isinstance(layer, nn.Conv2d)], ids=str)
@pytest.mark.parametrize("density", [0.02, 0.2])
def test_pruned_layer(tmp_path, layer, density):
    check(tmp_path, pruned(nn.Sequential(layer), density), (3, 9, 9))


@pytest.mark.parametrize(
    ("function", "layers"),
    [
        (lambda m, x: F.max_pool2d(F.relu(m.a(x)), 2), {"a": nn.Conv2d(2, 5, 3)}),
        (lambda m, x: F.relu(F.avg_pool2d(m.a(x), 2)), {"a": nn.Conv2d(2, 5, 3)}),
        (lambda m, x: F.avg_pool2d(F.relu(m.a(x)), 3, 1, 1), {"a": nn.Conv2d(2, 5, 3)}),
        (lambda m, x: F.max_pool2d(F.relu6(m.a(x)).relu(), 5), {"a": nn.Conv2d(2, 5, 3)}),
        (lambda m, x: m.a(F.max_pool2d(F.max_pool2d(x, 2), 2)), {"a": nn.Conv2d(2, 5, 3, padding=1)}),
        (lambda m, x: m.a(x) + m.b(x), {"a": nn.Conv2d(2, 5, 3), "b": nn.Conv2d(2, 5, 3)}),
        (lambda m, x: (y := m.a(x)) + y, {"a": nn.Conv2d(2, 5, 3)}),
        (lambda m, x: x + x, {}),
        (lambda m, x: F.relu(m.a(x) + x), {"a": nn.Conv2d(2, 2, 3, padding=1)}),
        (lambda m, x: (y := F.relu(m.a(x))) + m.b(y), {"a": nn.Conv2d(2, 2, 3), "b": nn.Conv2d(2, 2, 1)}),
        (lambda m, x: m.b(F.relu(m.a(x))), {"a": nn.Conv2d(2, 4, 3), "b": nn.BatchNorm2d(4)}),
        (lambda m, x: m.b(m.a(x) + x[:, :, 1:-1, 1:-1]), {"a": nn.Conv2d(2, 2, 3), "b": nn.BatchNorm2d(2)}),
        (lambda m, x: m.a(x[:, :, ::2, 1::3]), {"a": nn.Conv2d(2, 3, 2)}),
        (lambda m, x: m.a(x[:, 1:, ::2, ::2]), {"a": nn.Conv2d(1, 3, 3, stride=2, padding=1)}),
        (lambda m, x: m.a(x)[:, 1:3, :4], {"a": nn.Conv2d(2, 4, 3)}),
        (lambda m, x: F.relu(m.a(x)[..., ::3]).flatten(1), {"a": nn.Conv2d(2, 4, 3)}),
        (lambda m, x: F.pad(m.a(x), (1, 0, 0, 2, 1, 1)), {"a": nn.Conv2d(2, 4, 3)}),
        (lambda m, x: m.b(F.pad(m.a(x), (1, 1))), {"a": nn.Conv2d(2, 4, 3), "b": nn.Conv2d(4, 2, 3, padding=1)}),
        (lambda m, x: m.a(x.view(x.size(0), -1)).relu(), {"a": nn.Linear(200, 7)}),
        (lambda m, x: m.b(torch.flatten(m.a(x), 1)), {"a": nn.Conv2d(2, 4, 3), "b": nn.Linear(256, 7)}),
        (lambda m, x: m.b(F.relu(m.a(x.flatten(1)))), {"a": nn.Linear(200, 9), "b": nn.BatchNorm1d(9)}),
        (lambda m, x: m.b(m.a(x.flatten(1))), {"a": nn.Linear(200, 9), "b": nn.BatchNorm1d(9)}),
        (lambda m, x: m.a(x.flatten(1)) + m.b(x.flatten(1)), {"a": nn.Linear(200, 9), "b": nn.Linear(200, 9)}),
        (lambda m, x: m.b(m.a(x).reshape(-1, 2, 3, 3)), {"a": nn.Conv2d(2, 2, 8), "b": nn.Conv2d(2, 2, 3, padding=1)}),
        (lambda m, x: m.b(m.a(x).mean((2, 3))), {"a": nn.Conv2d(2, 4, 3), "b": nn.Linear(4, 3)}),
        (lambda m, x: m.b(m.a(x).mean((-1, -2), keepdim=True)), {"a": nn.Conv2d(2, 4, 3), "b": nn.Conv2d(4, 3, 1)}),
        (
            lambda m, x: (y := m.a(x)).flatten(1) + m.b(y).flatten(1),
            {"a": nn.Conv2d(2, 3, 3), "b": nn.Conv2d(3, 3, 3, padding=1)},
        ),
        (
            lambda m, x: m.b(m.a(x.flatten(1)).view(-1, 4, 1, 1)),
            {"a": nn.Linear(200, 4), "b": nn.Conv2d(4, 3, 3, padding=1)},
        ),
        (lambda m, x: m.a(m.a(x)), {"a": nn.Conv2d(2, 2, 3)}),
        (
            lambda m, x: (y := F.relu(m.a(x))) + m.b(y),
            {"a": nn.Conv2d(2, 3, 3), "b": nn.Conv2d(3, 3, 5, padding=2)},
        ),
        (lambda m, x: m.c(m.b(m.a(x))), {"a": nn.Conv2d(2, 4, 3), "b": nn.BatchNorm2d(4), "c": nn.MaxPool2d(2)}),
    ],
)
def test_composition(tmp_path, function, layers):
    model = Fn(function, **layers)
    check(tmp_path, pruned(model, 0.6), (2, 10, 10))


def drawn(seed):
    """A network of random layers with random weights missing."""
    draw = torch.Generator().manual_seed(seed)

    def pick(*choices):
        return choices[int(torch.randint(len(choices), (), generator=draw))]

    torch.manual_seed(seed)
    channels, size, layers = 2, 12, []
    for _ in range(pick(2, 3, 4)):
        kind = pick("conv", "conv", "block", "pool", "norm")
        if kind == "conv":
            kernel, stride, padding = pick(1, 2, 3), pick(1, 1, 2), pick(0, 1)
            if size + 2 * padding < kernel:
                continue
            groups = pick(1, 1, 2) if channels % 2 == 0 else 1
            layers.append(
                nn.Conv2d(channels, 6, kernel, stride, padding, groups=groups, bias=pick(True, False)),
            )
            channels, size = 6, (size + 2 * padding - kernel) // stride + 1
        elif kind == "block":
            layers.append(Block(channels, pick(True, False)))
        elif kind == "norm":
            layers.append(nn.BatchNorm2d(channels))
        elif size >= 3:
            window, padding = pick((2, 0), (3, 0), (3, 1))
            layers.append(pick(nn.MaxPool2d, nn.AvgPool2d)(window, 2, padding))
            size = (size + 2 * padding - window) // 2 + 1
        layers += pick([], [nn.ReLU()], [nn.ReLU(inplace=True)])
    features = channels * size * size
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(features, 9), nn.ReLU(), nn.Linear(9, 4))


class Block(nn.Module):
    def __init__(self, channels, is_straight):
        super().__init__()
        self.a = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.n = nn.BatchNorm2d(channels)
        self.b = nn.Identity() if is_straight else nn.Conv2d(channels, channels, 1)

    def forward(self, x):
        return F.relu(self.n(self.a(x)) + self.b(x))


@pytest.mark.parametrize("seed", range(16))
def test_random_network(tmp_path, seed):
    model = drawn(seed)
    with torch.no_grad():
        for layer in model.modules():
            if isinstance(layer, nn.Conv2d | nn.Linear) and layer.bias is not None:
                layer.bias[::2] = 0
    check(tmp_path, pruned(model, (0.05, 0.3, 1.0)[seed % 3], seed), (2, 12, 12), error=1e-5)


MAIN = """
#include <stdlib.h>
#include "net.h"
int main(void)
{
    float *input = malloc(NET_INPUTS * sizeof *input), *output = malloc(NET_OUTPUTS * sizeof *output);
    for (int i = 0; i < NET_INPUTS; ++i)
        input[i] = (float)(i % 7) - 3.0f;
    net_run(input, output);
    net_run(input, output);
    free(input);
    free(output);
    return 0;
}
"""


@pytest.mark.parametrize("model", [ResNet20, DigitsNet])
def test_nothing_is_read_or_written_outside(tmp_path, model):
    shape = (3, 32, 32) if model is ResNet20 else (1, 8, 8)
    path, _ = exported(tmp_path, pruned(model(), 0.1), shape)
    main = tmp_path / "main.c"
    main.write_text(MAIN)
    sanitizers = "-fsanitize=address,undefined", "-fno-sanitize-recover=all"
    gcc(*FLAGS, *sanitizers, main, path, "-o", tmp_path / "main")
    done = subprocess.run([str(tmp_path / "main")], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def by_channel(weight, steps, sparse=True):
    """Codes with a scale for each output channel."""
    draw = torch.Generator().manual_seed(0)
    keep = torch.rand(weight.shape, generator=draw) < (0.15 if sparse else 1)
    counts = keep.flatten(1).sum(1)
    index = torch.randint(len(steps), (int(counts.sum()),), generator=draw, dtype=torch.uint8)
    scale = torch.rand(len(weight), generator=draw) + 0.5
    inner = Indexed(index if sparse else index.view(weight.shape), torch.tensor(steps), scale, counts)
    code = Sparse(keep, (1,) * weight.dim(), inner) if sparse else inner
    with torch.no_grad():
        weight.copy_(code.dense())
    return code


@pytest.mark.parametrize("sparse", [True, False])
@pytest.mark.parametrize(
    ("steps", "bits"), [([-1.0, 1.0], 1), ([-1.0, 0.5, 2.0], 2), ([-4.0, -3, -2, -1, 1, 2, 3, 4], 3)]
)
def test_scales_by_channel_stay_beside_few_bits(tmp_path, sparse, steps, bits):
    model = nn.Sequential(
        nn.Conv2d(3, 16, 3, padding=1, bias=False),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(3),
        nn.Flatten(),
        nn.Linear(144, 80),
        nn.ReLU(),
        nn.Linear(80, 20),
    )
    pruned(model, 1.0)
    codes = {f"{n}.weight": by_channel(model[n].weight, steps, sparse) for n in (0, 5, 7)}
    lines = check(tmp_path, model, (3, 9, 9), codes)
    # Where zero is stored as one more level instead of a position, that may be shorter.
    few = (f"weights, {bits} bits, ", f"weights, {bits + 1} bits, all of them")
    assert sum(any(words in line for words in few) for line in lines) == 3


@pytest.mark.parametrize("levels", [2, 3, 4, 8, 16])
@pytest.mark.parametrize(("inputs", "outputs"), [(33, 70), (5, 200), (64, 7)])
def test_full_matrices_of_few_values(tmp_path, levels, inputs, outputs):
    model = nn.Sequential(nn.Linear(inputs, outputs), nn.ReLU(), nn.Linear(outputs, 3))
    with torch.no_grad():
        for layer in (model[0], model[2]):
            layer.weight.copy_(torch.randint(levels, layer.weight.shape) * 0.25 + 0.125)
    lines = check(tmp_path, model, (inputs,))
    assert f"weights, {max(1, (levels - 1).bit_length())} bits, all of them" in lines[0]


def test_dead_layers(tmp_path):
    model = nn.Sequential(nn.Conv2d(2, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(64, 5), nn.ReLU(), nn.Linear(5, 2))
    with torch.no_grad():
        model[0].weight.zero_()
        model[3].weight[:3] = 0
    check(tmp_path, model, (2, 6, 6))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    check(tmp_path, model, (2, 6, 6))


class Gated(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Conv2d(2, 4, 3)
        self.act = nn.Sigmoid()
        self.inner = nn.Sequential(nn.Conv2d(4, 4, 1), nn.GELU())

    def forward(self, x):
        x = self.act(self.layer(x))
        return torch.tanh(self.inner(x))


def test_all_that_cannot_be_written_is_named(tmp_path):
    with pytest.raises(ArtifactError) as caught:
        exported(tmp_path, Gated(), (2, 5, 5))
    message = str(caught.value)
    for place in ("'act' (Sigmoid)", "'inner.1' (GELU)", "'tanh' in the model's own forward", "--to onnx"):
        assert place in message
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("function", "layers", "message"),
    [
        (lambda m, x: m.a(x), {"a": nn.Conv2d(2, 4, 3, padding=1, padding_mode="circular")}, "'a'.*circular"),
        (lambda m, x: m.a(x), {"a": nn.ConvTranspose2d(2, 4, 3)}, r"'a' \(ConvTranspose2d\)"),
        (lambda m, x: m.a(x), {"a": nn.BatchNorm2d(2, track_running_stats=False)}, "without running statistics"),
        (lambda m, x: m.a(x), {"a": nn.MaxPool2d(2, ceil_mode=True)}, r"'a' \(MaxPool2d\) \(ceil_mode=True\)"),
        (lambda m, x: m.a(x), {"a": nn.MaxPool2d(2, dilation=2)}, "dilation=2"),
        (lambda m, x: m.a(x)[0], {"a": nn.MaxPool2d(2, return_indices=True)}, "return_indices"),
        (lambda m, x: m.a(x), {"a": nn.AvgPool2d(2, divisor_override=3)}, "divisor_override=3"),
        (lambda m, x: m.a(x), {"a": nn.AdaptiveAvgPool2d(4)}, "windows differ"),
        (lambda m, x: m.a(x), {"a": nn.Linear(10, 3)}, "more than one axis"),
        (lambda m, x: x.flatten(0), {}, r"shape \[200\]"),
        (lambda m, x: x + 1, {}, "a sum with 1"),
        (lambda m, x: torch.add(x, x, alpha=2), {}, "alpha"),
        (lambda m, x: x + x.mean((2, 3), keepdim=True), {}, "a sum of shapes"),
        (lambda m, x: x.mean(1), {}, "over dim=1"),
        (lambda m, x: x[:, 0], {}, "the index"),
        (lambda m, x: F.pad(x, (1, 1), value=2.0), {}, "padding of mode 'constant' with 2.0"),
        (lambda m, x: F.pad(x, (-1, 1)), {}, "padding by"),
        (lambda m, x: (x, x), {}, "the output"),
        (lambda m, x: {"y": x}, {}, "the output"),
        (lambda m, x: F.dropout(x, training=True), {}, "training=True|does something else"),
    ],
)
def test_settings_that_cannot_be_written_are_refused(tmp_path, function, layers, message):
    with pytest.raises(ArtifactError, match=message):
        exported(tmp_path, Fn(function, **layers).eval(), (2, 10, 10))


def test_hooks_and_branches_are_refused(tmp_path):
    model = nn.Sequential(nn.Conv2d(2, 3, 3), nn.ReLU())
    model[1].register_forward_hook(lambda module, args, out: out * 2)
    with pytest.raises(ArtifactError, match=r"'1' \(ReLU with hooks"):
        exported(tmp_path, model, (2, 10, 10))
    with pytest.raises(ArtifactError, match="cannot be traced"):
        exported(tmp_path, Fn(lambda m, x: x if x.sum() > 0 else -x), (2, 10, 10))


def test_where_it_is_nested_is_named(tmp_path):
    inner = Fn(lambda m, x: torch.sigmoid(m.a(x)), a=nn.Conv2d(2, 3, 3))
    with pytest.raises(ArtifactError, match=r"'sigmoid' in '1\.0'"):
        exported(tmp_path, nn.Sequential(nn.ReLU(), nn.Sequential(inner)), (2, 10, 10))


def test_numbers_without_a_literal_are_refused(tmp_path):
    model = nn.Sequential(nn.Linear(3, 2))
    with torch.no_grad():
        model[0].weight[0, 0] = float("nan")
    with pytest.raises(ArtifactError, match=r"'0\.weight' holds values that are not finite"):
        exported(tmp_path, model, (3,))


def test_the_model_stays_and_the_text_is_the_same_each_time(tmp_path):
    model = pruned(DigitsNet(), 0.05)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    artifact = Artifact.of(model.state_dict(), {}, {})
    network = Network.of(artifact, model, (1, 8, 8))
    texts = []
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        c99(artifact, lambda: network, tmp_path / folder / "net.c")
        texts.append([(tmp_path / folder / f"net.{end}").read_bytes() for end in "ch"])
    assert texts[0] == texts[1]
    assert all(torch.equal(value, before[name]) for name, value in network.model.state_dict().items())


def test_names_of_files(tmp_path):
    model = nn.Sequential(nn.Linear(3, 2))
    path, _ = exported(tmp_path, model, (3,), name="5-digits net")
    assert "void _5_digits_net_run(" in path.read_text()
    gcc(*FLAGS, "-c", path, "-o", tmp_path / "net.o")
    with pytest.raises(ArtifactError, match=r"where the header goes.*net\.c"):
        c99(Artifact.of(model.state_dict(), {}, {}), lambda: None, tmp_path / "net.h")
    with pytest.raises(ArtifactError, match="cannot be written"):
        exported(tmp_path / "missing", model, (3,))


def test_layers_of_one_form_share_a_function(tmp_path):
    layers = [nn.Conv2d(4, 4, 3, padding=1) for _ in range(4)]
    path, _ = exported(tmp_path, nn.Sequential(*layers), (4, 8, 8))
    functions = [line for line in path.read_text().splitlines() if line.startswith("static void run_")]
    # The copy of the input, layers between two buffers with zeros around them, and the last one.
    assert len(functions) == 3
