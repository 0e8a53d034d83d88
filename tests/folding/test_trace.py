"""Models that are looked at, and models that are not: why, and untouched."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils import parametrize, prune

import tighten as tt


class Dead(nn.Module):
    """A layer with a dead neuron, an operation, and a layer that reads it."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.a = nn.Linear(4, 4)
        self.b = nn.Linear(4, 2)
        with torch.no_grad():
            self.a.weight[1], self.a.bias[1] = 0, 0.5

    def forward(self, x):
        return self.b(self.middle(self.a(x)))

    def middle(self, a):
        return F.relu(a)


class Branching(Dead):
    def middle(self, a):
        return F.relu(a) if a.sum() > 0 else a


class Aliased(Dead):
    def middle(self, a):
        kept = a
        F.relu(a, inplace=True)
        return kept + a


class Viewed(Dead):
    def middle(self, a):
        flat = a.view(-1)
        flat.relu_()
        return a


class Written(Dead):
    def middle(self, a):
        a = a * 1.0
        a[:, 1] = a[:, 0]
        return a


class Added(Dead):
    def middle(self, a):
        kept = a
        a += 1.0
        return kept * a


class Counting(Dead):
    calls = 0

    def middle(self, a):
        self.calls += 1
        return a * float(self.calls)


class Unlucky(Dead):
    def __deepcopy__(self, memo):
        raise TypeError("no copies")


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        (Branching, "cannot be traced"),
        (Aliased, "in place"),
        (Viewed, "in place"),
        (Written, "cannot be traced|in place"),
        (Added, "something else when it is traced"),
        (Counting, "something else when it is traced"),
        (Unlucky, "cannot be copied"),
    ],
)
def test_a_model_that_cannot_be_followed_is_told_why_and_left_alone(kind, why):
    model = kind()
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    folding = tt.fold(model, torch.ones(1, 4))
    assert folding.reason is not None
    assert str(folding).startswith("not foldable: ")
    assert any(part in folding.reason for part in why.split("|")), folding.reason
    assert folding.layers == folding.parameters == ()
    assert all(torch.equal(p, before[name]) for name, p in model.named_parameters())
    assert getattr(model, "calls", 0) == 0


def test_the_same_model_without_the_obstacle_folds():
    assert tt.fold(Dead(), torch.ones(1, 4)).weights == 2


class InPlace(nn.Module):
    """Residual blocks as they are often written."""

    def __init__(self):
        super().__init__()
        self.a = nn.Conv2d(1, 4, 3, padding=1)
        self.n = nn.BatchNorm2d(4)
        self.b = nn.Conv2d(4, 4, 3, padding=1)
        self.c = nn.Linear(4, 2)
        self.relu = nn.ReLU(inplace=True)
        self.drop = nn.Dropout(inplace=True)

    def forward(self, x):
        x = self.relu(self.n(self.a(x)))
        out = self.relu(self.b(x))
        out += x
        return self.c(self.drop(F.relu(out, inplace=True).mean((2, 3))))


def test_harmless_writing_in_place_is_followed():
    torch.manual_seed(0)
    model = InPlace().eval()
    with torch.no_grad():
        model.a.weight[1], model.n.bias[1] = 0, -3.0
        model.b.weight[1], model.b.bias[1] = 0, 0.5
        model.c.weight[:, 2] = 0
    before = copy.deepcopy(model)
    folding = tt.fold(model, torch.zeros(1, 1, 5, 5))
    assert folding.reason is None
    x = torch.randn(6, 1, 5, 5)
    assert torch.allclose(model(x), before(x), atol=1e-5)
    assert not model.c.weight[:, 1].any()
    assert not model.b.bias[1]
    assert not model.b.weight[2].any()


def with_hook():
    model = Dead()
    model.a.register_forward_hook(lambda module, args, out: out + args[0])
    return model


def with_mask():
    model = Dead()
    prune.l1_unstructured(model.a, "weight", 4)
    return model


def with_parametrization():
    class Double(nn.Module):
        def forward(self, x):
            return 2 * x

    model = Dead()
    parametrize.register_parametrization(model.b, "weight", Double())
    return model


def with_own_forward():
    model = Dead()
    plain = model.a.forward
    model.a.forward = lambda x: plain(x) + x
    return model


@pytest.mark.parametrize("make", [with_hook, with_mask, with_parametrization, with_own_forward])
def test_layers_that_are_more_than_they_seem_are_left_alone(make):
    model = make()
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    x = torch.randn(5, 4, generator=torch.Generator().manual_seed(0))
    expected = model(x)
    folding = tt.fold(model, x[:1])
    assert torch.allclose(model(x), expected, atol=1e-6)
    assert folding.reason is not None or folding.opaque
    assert all(torch.equal(p, before[name]) for name, p in model.named_parameters() if "a." in name)


def test_several_inputs_and_a_constant_of_the_model():
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = nn.Linear(3, 4)
            self.b = nn.Linear(4, 2)
            self.place = nn.Parameter(torch.tensor([0.0, 1, 2, 3]))

        def forward(self, x, y):
            return {"out": self.b(F.relu(self.a(x) + self.place)), "more": y * 2}

    torch.manual_seed(0)
    model = Two()
    with torch.no_grad():
        model.a.weight[2] = 0
    before = copy.deepcopy(model)
    folding = tt.fold(model, (torch.zeros(1, 3), torch.zeros(1)))
    x, y = torch.randn(6, 3), torch.ones(2)
    assert torch.allclose(model(x, y)["out"], before(x, y)["out"], atol=1e-6)
    assert not model.b.weight[:, 2].any()
    assert not model.a.bias[2]
    assert torch.equal(model.place, before.place)
    assert folding.reason is None


@pytest.mark.parametrize(
    ("example", "message"),
    [
        (torch.zeros(1, 5), r"does not take the example of shape \(1, 5\)"),
        ((torch.zeros(1, 4), torch.zeros(1, 4)), r"\(1, 4\), \(1, 4\)"),
        (torch.zeros(0, 4), "empty"),
    ],
)
def test_a_wrong_example_is_an_error(example, message):
    with pytest.raises(tt.PlanError, match=message):
        tt.fold(Dead(), example)


@pytest.mark.parametrize("limits", [{"allowed": {"a.wieght"}}, {"only_zero": {"a.wieght"}}])
def test_a_wrong_name_is_an_error(limits):
    with pytest.raises(tt.PlanError, match=r"'a\.wieght' is no parameter of Dead.*a\.weight"):
        tt.fold(Dead(), torch.zeros(1, 4), **limits)


def test_an_input_that_is_written_to_stays():
    class Rude(Dead):
        def forward(self, x):
            return super().forward(F.relu(x, inplace=True))

    x = torch.full((1, 4), -1.0)
    assert tt.fold(Rude(), x).reason is None
    assert bool((x == -1).all())
