"""Selectors choose what a user would expect."""

import pytest
from torch import nn

import tighten as tt
from tighten import sites
from tighten.sites import select


def net():
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Conv2d(2, 3, 3), nn.Flatten(), nn.Linear(3, 4))


def test_a_star_means_the_weights_and_biases_can_be_named():
    sparse = tt.Sparse(density=0.5)
    assert list(select(net(), {"*": sparse})) == ["0.weight", "2.weight", "4.weight"]
    assert list(select(net(), {"*.bias": sparse})) == ["0.bias", "1.bias", "2.bias", "4.bias"]
    assert list(select(net(), {"1.weight": sparse})) == ["1.weight"]


def test_the_last_selector_counts_and_the_order_is_the_models():
    chosen = select(net(), {"4.weight": tt.Ternary(), "*": tt.Binary(), "0.*": tt.Ternary()})
    assert list(chosen.items()) == [("0.weight", tt.Ternary()), ("2.weight", tt.Binary()), ("4.weight", tt.Binary())]


def test_inner_and_end_weights():
    assert tt.inner_weights(net()) == ["2.weight"]
    assert tt.end_weights(net()) == ["0.weight", "4.weight"]
    small = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    assert tt.inner_weights(small) == tt.end_weights(small) == ["0.weight", "1.weight"]
    assert list(select(net(), {tt.inner_weights: tt.Binary()})) == ["2.weight"]


def test_a_selector_function_that_names_a_stranger_is_an_error():
    with pytest.raises(tt.PlanError, match="'nowhere', which the model does not have"):
        select(net(), {lambda model: ["nowhere"]: tt.Binary()})
    with pytest.raises(tt.PlanError, match="matches no parameter"):
        select(net(), {lambda model: []: tt.Binary()})


def test_tied_weights_are_one_site():
    model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    model[1].weight = model[0].weight
    assert list(select(model, {"*": tt.Binary()})) == ["0.weight"]


def test_depthwise_weights_are_those_of_one_input_channel_a_filter():
    model = nn.Sequential(
        nn.Conv2d(4, 8, 1), nn.Conv2d(8, 16, 3, groups=8), nn.Conv2d(16, 4, 3, groups=4), nn.Flatten(), nn.Linear(4, 2)
    )
    assert sites.depthwise_weights(model) == ["1.weight"]
    assert sites.full_weights(model) == ["0.weight", "2.weight", "4.weight"]
    # One channel in all is an ordinary convolution.
    assert sites.depthwise_weights(nn.Sequential(nn.Conv2d(1, 4, 3))) == []
