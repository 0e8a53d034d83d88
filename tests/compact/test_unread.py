"""What nothing depends on, found on networks where it is known."""

import pytest
import torch
import torch.nn.functional as F
from tests.compact.nets import Net, deafen, drawn
from torch import nn
from torch.nn.utils import parametrizations

import tighten as tt
from tighten.compact.unread import unread


def test_neurons_and_columns():
    model = deafen(deafen(drawn(Net()), "b", [1, 3]), "c", [0])
    free = unread(model, torch.zeros(1, 1, 8, 8))
    assert {name: mask.tolist() for name, mask in free.neurons.items()} == {
        "a": [False, True, False, True],
        "b": [True, False, False, False, False, False],
        "c": [False, False],
    }
    assert free.columns["b"].tolist() == [False, True, False, True]
    assert free.fixed == {}
    assert free.opaque == ()


def test_groups_read_what_is_theirs():
    model = nn.Sequential(nn.Conv2d(1, 4, 1), nn.Conv2d(4, 6, 1, groups=2), nn.Conv2d(6, 1, 1))
    deafen(drawn(model), "2", [0, 1, 2, 5])
    free = unread(model, torch.zeros(1, 1, 4, 4))
    assert free.neurons["1"].tolist() == [True, True, True, False, False, True]
    assert free.neurons["0"].tolist() == [True, True, False, False]


def test_what_is_not_understood_reads_all():
    class Soft(Net):
        def forward(self, x):
            return self.b(self.a(x).softmax(1))

    free = unread(deafen(drawn(Soft()), "b", [0]), torch.zeros(1, 1, 8, 8))
    assert free.opaque == ("softmax",)
    assert not free.neurons["a"].any()
    assert free.columns["b"].tolist() == [True, False, False, False]


@pytest.mark.parametrize(
    ("how", "why"),
    [
        ("tied", "shares a parameter"),
        ("twice", "more than once"),
        ("by hand", "a way of its own"),
        ("hook", "a way of its own"),
        ("computed", "is computed"),
    ],
)
def test_what_must_stay_as_it_is(how, why):
    class Odd(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b, self.c = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 4)
            if how == "tied":
                self.c.weight = self.b.weight
            if how == "hook":
                self.b.register_forward_hook(lambda *_: None)
            if how == "computed":
                parametrizations.weight_norm(self.b)

        def forward(self, x):
            x = self.b(self.a(x))
            if how == "twice":
                x = self.b(x)
            return F.linear(x, self.b.weight) if how == "by hand" else self.c(x)

    free = unread(Odd().eval(), torch.zeros(1, 4))
    assert why in free.fixed["b"]
    assert "b" not in free.neurons
    assert "a" in free.neurons


def test_what_depends_on_values_is_refused():
    class Looks(Net):
        def forward(self, x):
            return self.a(x) if bool(x.any()) else x

    with pytest.raises(tt.PlanError, match=r"cannot be made smaller: .*traced"):
        unread(Looks(), torch.zeros(1, 1, 8, 8))
