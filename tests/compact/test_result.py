"""The way back: everything of the small network lies somewhere in the full one."""

import copy

import pytest
import torch
from tests.compact.nets import Net, apart, deafen, drawn, inputs, pruned, resnet

import tighten as tt
from tighten.zoo import LeNet5


def trained(model):
    """Other weights; also other running statistics."""
    model = copy.deepcopy(model)
    with torch.no_grad():
        for tensor in model.state_dict().values():
            if tensor.is_floating_point():
                tensor.mul_(1 + 0.5 * torch.rand_like(tensor)).add_(0.01)
            else:
                tensor.add_(7)
    return model


@pytest.mark.parametrize(
    ("model", "shape"),
    [(lambda: resnet((1, 2), (0, 9)), (3, 16, 16)), (lambda: pruned(LeNet5(), 0.005), (1, 28, 28))],
    ids=["resnet", "lenet"],
)
def test_a_trained_small_network_is_put_back_exactly(model, shape):
    full = model()
    compact = tt.compact(full, torch.zeros(1, *shape))
    small = trained(compact.model)
    full.load_state_dict(compact.expanded(small.state_dict()))
    size = float(small(inputs(4, *shape)).detach().abs().max())
    assert apart(full, small, inputs(4, *shape)) < 1e-4 * size
    for name, value in small.state_dict().items():
        assert torch.equal(full.state_dict()[name].flatten()[compact.indices[name]], value)


def test_what_was_removed_keeps_the_value_of_the_folded_network():
    compact = tt.compact(resnet((1, 2), (0, 9)), torch.zeros(1, 3, 16, 16))
    state = compact.expanded(trained(compact.model).state_dict())
    for name, places in compact.indices.items():
        rest = torch.ones(state[name].numel(), dtype=torch.bool)
        rest[places.flatten()] = False
        assert torch.equal(state[name].flatten()[rest], compact.full[name].flatten()[rest])
        if not name.endswith(("running_mean", "running_var")):
            assert not state[name].flatten()[rest].any()


def test_without_training_it_is_the_folded_network():
    full = pruned(LeNet5(), 0.005)
    compact = tt.compact(full, torch.zeros(1, 1, 28, 28))
    tt.fold(full, torch.zeros(1, 1, 28, 28))
    state = compact.expanded(compact.model.state_dict())
    assert all(torch.equal(state[name], value) for name, value in full.state_dict().items())
    assert all(places.dtype == torch.int64 for places in compact.indices.values())


def test_a_foreign_state_is_refused():
    compact = tt.compact(deafen(drawn(Net()), "b", [1]), torch.zeros(1, 1, 8, 8))
    with pytest.raises(tt.PlanError, match=r"'a.weight' has shape \[4, 1, 3, 3\], not \[3, 1, 3, 3\]"):
        compact.expanded(Net().state_dict())
    state = dict(compact.model.state_dict())
    del state["a.bias"]
    with pytest.raises(tt.PlanError, match=r"'a.bias' is not in both networks"):
        compact.expanded(state)


def test_the_table_says_what_changed():
    text = str(tt.compact(deafen(drawn(Net()), "b", [1, 3]), torch.zeros(1, 1, 8, 8)))
    assert "4 -> 2" in text
    assert "parameters: 276 -> 148 (1.86x fewer)" in text
    assert "multiply-accumulates: 4,764 -> 2,388" in text
