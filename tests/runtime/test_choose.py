from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn.utils import prune

from tighten.errors import CompileError
from tighten.runtime import choose
from tighten.runtime.choose import Chooser, close
from tighten.runtime.kernels import MEANING, density, kept_dense, kernels
from tighten.runtime.linear import CsrLinear


def sparse_linear(width: int = 1500) -> nn.Linear:
    layer = nn.Linear(width, width).requires_grad_(False)
    layer.weight *= torch.rand_like(layer.weight) < 0.002
    return layer


def test_the_measured_kernel_is_chosen():
    layer, x = sparse_linear(), torch.randn(4, 1500)
    chooser = Chooser(0.1, None)
    kernel = chooser.choose("fc", layer, x)
    report = chooser.layers["fc"]
    assert isinstance(kernel, CsrLinear)
    assert (report.kernel, report.kind) == ("csr", "Linear")
    assert report.chosen_us < report.dense_us
    assert report.density == pytest.approx(0.002, rel=0.2)


def test_a_wrong_or_failing_kernel_is_no_choice(monkeypatch):
    class Wrong(CsrLinear):
        def forward(self, x):
            return super().forward(x) + 0.01

    def fails():
        raise RuntimeError("not here")

    layer, x = sparse_linear(), torch.randn(4, 1500)
    monkeypatch.setattr(choose, "kernels", lambda *_: {"csr": lambda: Wrong(layer), "shrunk": fails})
    chooser = Chooser(0.01, None)
    assert chooser.choose("fc", layer, x) is layer
    assert chooser.layers["fc"].kernel == "dense"


def test_what_was_chosen_before_is_taken_without_measuring(monkeypatch):
    monkeypatch.setattr(choose, "race", None)
    layer, x = sparse_linear(), torch.randn(4, 1500)
    chooser = Chooser(1, {"a": "csr", "b": "dense"})
    assert isinstance(chooser.choose("a", layer, x), CsrLinear)
    assert chooser.choose("b", layer, x) is layer
    assert chooser.choose("c", layer, x) is layer
    assert [chooser.layers[name].kernel for name in "abc"] == ["csr", "dense", "dense"]
    chooser.check_given()


@pytest.mark.parametrize(
    ("kernel", "words"), [("unfold", "cannot be 'unfold' (it can be dense, csr"), ("fast", "which is no kernel")]
)
def test_a_given_kernel_that_does_not_fit(kernel, words):
    with pytest.raises(CompileError) as caught:
        Chooser(1, {"fc": kernel}).choose("fc", sparse_linear(), torch.randn(4, 1500))
    assert words in str(caught.value)


def test_a_given_name_that_is_no_layer():
    chooser = Chooser(1, {"fc9": "csr"})
    chooser.choose("fc", sparse_linear(), torch.randn(4, 1500))
    with pytest.raises(CompileError, match=r"'fc9', which is no layer here \(fc\)"):
        chooser.check_given()


@pytest.mark.parametrize(
    ("layer", "reason"),
    [
        (nn.Conv2d(4, 4, 3, groups=2), "2 groups"),
        (nn.Conv2d(4, 4, 3, padding=1, padding_mode="reflect"), "padding mode 'reflect'"),
        (nn.MaxPool2d(2, return_indices=True), "it returns indices"),
        (prune.identity(nn.Linear(2, 2), "weight"), "has hooks"),
    ],
)
def test_layers_that_stay_dense_say_why(layer, reason):
    assert reason in kept_dense(layer)
    assert kernels(layer, (1, 4, 8, 8)) == {}
    if isinstance(layer, nn.Conv2d):
        chooser, x = Chooser(1, None), torch.randn(1, 4, 8, 8)
        assert chooser.choose("it", layer, x) is layer
        assert chooser.layers["it"].note == kept_dense(layer)


def test_every_kernel_has_a_meaning():
    conv = nn.Conv2d(8, 8, 3).requires_grad_(False)
    conv.weight *= torch.rand_like(conv.weight) < 0.1
    conv.weight[:4] = 0
    linear = sparse_linear(20)
    linear.weight[:10] = 0
    found = {"dense"}
    for layer, shape in ((conv, (40, 8, 9, 9)), (linear, (4, 20)), (nn.MaxPool2d(2), (4, 8, 9, 9))):
        made = kernels(layer, shape)
        found |= made.keys()
        x = torch.randn(shape)
        assert all(close(build()(x), layer(x)) for build in made.values())
    strided = kernels(nn.Conv2d(8, 8, 3, stride=2).requires_grad_(False), (1, 8, 9, 9))
    assert "runs-csr" not in strided
    assert "csr" not in kernels(nn.Linear(9, 9), (1, 9))  # dense weights
    assert found == MEANING.keys()


def test_density_counts_what_is_kept():
    layer = nn.Linear(4, 5).requires_grad_(False)
    layer.weight[0] = 0
    assert density(layer) == 0.8
    assert density(nn.MaxPool2d(2)) is None


@pytest.mark.parametrize(
    ("a", "b", "same"),
    [
        ([1.0, 1000.0], [1.001, 1000.0], True),  # small beside the largest
        ([1.0, 1.0], [1.001, 1.0], False),
        ([float("nan"), 1.0], [float("nan"), 1.0], True),
        ([float("nan"), 1.0], [0.0, 1.0], False),
        ([float("inf"), 1.0], [float("inf"), 1.0], True),
        ([1.0], [1.0, 1.0], False),
    ],
)
def test_equal_but_for_rounding(a, b, same):
    assert close(torch.tensor(a), torch.tensor(b)) is same


def test_integers_must_be_equal():
    assert close(torch.tensor([3]), torch.tensor([3]))
    assert not close(torch.tensor([30000]), torch.tensor([30001]))
