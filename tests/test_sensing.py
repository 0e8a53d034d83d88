"""Evidence from batches is the mean over examples, and the model is left as it was found."""

import copy
import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.func import functional_call, grad, vmap

import tighten as tt
from tighten.sensing import evidence, foreseen


def network(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(64, 12), nn.Tanh(), nn.Linear(12, 3))


def examples(count, seed=1):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, 1, 6, 6, generator=generator), torch.randint(3, (count,), generator=generator)


def in_batches(inputs, targets, size, seed=None):
    n = len(targets)
    order = torch.arange(n) if seed is None else torch.randperm(n, generator=torch.Generator().manual_seed(seed))
    return [(inputs[part], targets[part]) for part in order.split(size)]


def exact(model, inputs, targets):
    """The mean of the squared gradients of single examples, by vmap."""
    parameters = {name: p.detach() for name, p in model.named_parameters()}

    def loss(p, x, y):
        return F.cross_entropy(functional_call(model, p, (x[None],)), y[None])

    each = vmap(grad(loss), in_dims=(None, 0, 0))(parameters, inputs, targets)
    return {name: g.double().square().mean(0) for name, g in each.items()}


def test_with_batches_of_one_it_is_the_exact_fisher_diagonal():
    model, (inputs, targets) = network(), examples(40)
    found = evidence(model, tt.weights, in_batches(inputs, targets, 1), F.cross_entropy)
    wanted = exact(model, inputs, targets)
    assert list(found) == ["0.weight", "3.weight", "5.weight"]
    for name, site in found.items():
        assert torch.equal(site.values, model.get_parameter(name))
        assert site.squared_gradient == pytest.approx(float(wanted[name].mean()), rel=1e-4)


def test_the_batch_size_brings_no_bias_where_squared_batch_gradients_have_much():
    model, (inputs, targets) = network(), examples(90)
    targets = torch.zeros_like(targets)  # of one class: the mean gradient is large
    wanted = exact(model, inputs, targets)
    for name in ("0.weight", "5.weight"):
        runs = [in_batches(inputs, targets, 16, seed) for seed in range(40)]  # the last batch is smaller
        mean = sum(evidence(model, name, run, F.cross_entropy)[name].squared_gradient for run in runs) / len(runs)
        assert mean == pytest.approx(float(wanted[name].mean()), rel=0.06)
        naive = [
            len(y) * torch.autograd.grad(F.cross_entropy(model(x), y), model.get_parameter(name))[0].square().mean()
            for run in runs
            for x, y in run
        ]
        assert float(sum(naive) / len(naive)) > 1.15 * float(wanted[name].mean())


def test_only_kept_entries_are_averaged():
    model, (inputs, targets) = network(), examples(30)
    with torch.no_grad():
        model[3].weight[3:] = 0
    kept = model[3].weight != 0
    wanted = exact(model, inputs, targets)["3.weight"]
    found = evidence(model, ["3.weight"], in_batches(inputs, targets, 1), F.cross_entropy)["3.weight"]
    assert found.squared_gradient == pytest.approx(float(wanted[kept].mean()), rel=1e-4)
    assert found.squared_gradient != pytest.approx(float(wanted.mean()), rel=0.02)


def test_no_more_batches_are_drawn_than_asked_for():
    drawn = []

    def endless():
        while True:
            drawn.append(0)
            yield examples(8, seed=len(drawn))

    evidence(network(), "*", endless(), F.cross_entropy, steps=5)
    assert len(drawn) == 5


def test_the_model_is_left_as_it_was_found():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(5, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 2))
    model[1].eval()  # a mixed state, as in fine-tuning
    model[1].weight.requires_grad_(False)
    for p in model.parameters():
        p.grad = torch.ones_like(p) if p.requires_grad else None
    state = {name: t.clone() for name, t in model.state_dict().items()}
    modes = [m.training for m in model.modules()]
    chance = torch.get_rng_state()

    def noisy():
        for _ in range(4):
            yield torch.randn(6, 5), torch.randint(2, (6,))

    with torch.no_grad():
        found = evidence(model, "*", noisy(), F.cross_entropy)
    assert set(found) == {"0.weight", "3.weight"}
    assert [m.training for m in model.modules()] == modes
    assert torch.equal(torch.get_rng_state(), chance)
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, state[name]), name
    for p in model.parameters():
        assert torch.equal(p.grad, torch.ones_like(p)) if p.requires_grad else p.grad is None
    assert model[0].weight.requires_grad
    assert not model[1].weight.requires_grad


def test_an_error_on_the_way_leaves_the_model_as_it_was_found():
    model = network().train()
    with pytest.raises(tt.TrainingError, match="loss of a batch is nan"):
        evidence(model, "*", [examples(4)], lambda outputs, _: outputs.mean() * math.nan)
    assert model.training


class Forgetful(nn.Module):
    def __init__(self):
        super().__init__()
        self.used = nn.Linear(4, 3)
        self.idle = nn.Linear(4, 3)

    def forward(self, x):
        return self.used(x)


def pairs(count=4):
    return [(torch.randn(6, 4), torch.randint(3, (6,))) for _ in range(count)]


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (("idle.weight", pairs(), F.cross_entropy), tt.TrainingError, "'idle.weight' got no gradient"),
        (("usd.weight", pairs(), F.cross_entropy), tt.PlanError, "did you mean 'used.weight'"),
        (("used.weight", pairs(1), F.cross_entropy), tt.PlanError, "two batches or more, and there were 1"),
        (("used.weight", [], F.cross_entropy), tt.PlanError, "there were 0"),
        (("used.weight", pairs(), F.cross_entropy, 1), tt.PlanError, "steps=2"),
        (("used.weight", pairs(), lambda o, t: F.cross_entropy(o, t, reduction="none")), tt.TrainingError, r"\(6,\)"),
        (("used.weight", pairs(), lambda o, _: (o * 0).sum()), tt.TrainingError, "got no gradient"),
    ],
)
def test_mistakes_are_named(arguments, error, message):
    with pytest.raises(error, match=message):
        evidence(Forgetful(), *arguments)


def test_a_site_that_is_all_zero_is_told():
    model = Forgetful()
    nn.init.zeros_(model.used.weight)
    with pytest.raises(tt.PlanError, match=r"'used\.weight' are zero"):
        evidence(model, "used.weight", pairs(), F.cross_entropy)


def test_the_rules_take_the_evidence():
    model, (inputs, targets) = network(), examples(60)
    found = evidence(model, tt.weights, in_batches(inputs, targets, 10), F.cross_entropy)
    assert sum(tt.fisher(found, 100).values()) == 100


def trained():
    """A network that has learnt, with a large layer in the middle of which no single weight matters."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 6), nn.ReLU(), nn.Linear(6, 300), nn.ReLU(), nn.Linear(300, 3))
    x = torch.randn(256, 8)
    y = (x[:, :3] + 0.5 * x[:, 3:6].abs()).argmax(1)
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    for _ in range(150):
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        optimizer.step()
    return model, x, y


def loss_with(model, shares, x, y):
    pruned = copy.deepcopy(model)
    with torch.no_grad():
        for name, constraint in shares.sets().items():
            parameter = pruned.get_parameter(name)
            parameter.copy_(constraint.project(parameter))
        return float(F.cross_entropy(pruned(x), y))


def test_foresight_finds_better_shares_than_the_dense_network_tells():
    model, x, y = trained()
    state = {name: t.clone() for name, t in model.state_dict().items()}
    run = in_batches(x, y, 16)

    def share(found):
        return tt.Shares.of(tt.fisher(found, 350), found)

    dense = share(evidence(model, tt.weights, run, F.cross_entropy))
    found = foreseen(model, tt.weights, run, F.cross_entropy, share)
    assert loss_with(model, share(found), x, y) < loss_with(model, dense, x, y)
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, state[name]), name
    # At its end, the network on its sets is about what the evidence says: shares found from it are the same.
    pruned = copy.deepcopy(model)
    with torch.no_grad():
        for name, constraint in share(found).sets().items():
            pruned.get_parameter(name).copy_(constraint.project(model.get_parameter(name)))
    there = evidence(pruned, tt.weights, run, F.cross_entropy)
    ratios = [there[name].squared_gradient / found[name].squared_gradient for name in found]
    assert max(ratios) / min(ratios) < 2
    assert 0.2 < ratios[0] < 5  # and it has the scale of the loss


def test_foresight_starts_from_the_weights_alone_and_stops_where_nothing_changes():
    model, (inputs, targets) = network(), examples(60)
    run, seen = in_batches(inputs, targets, 10), []

    def by_weights(found):
        seen.append({name: site.squared_gradient for name, site in found.items()})
        return tt.Shares.of(tt.lamp(found, 100), found)

    foreseen(model, tt.weights, run, F.cross_entropy, by_weights)
    assert len(seen) == 2
    for name, factor in seen[0].items():
        assert factor == pytest.approx(1 / model.get_parameter(name).square().sum().item(), rel=1e-5)


def test_a_network_that_is_cut_through_teaches_nothing_but_does_no_harm():
    model = nn.Sequential(nn.Linear(4, 5, bias=False), nn.ReLU(), nn.Linear(5, 3))
    with torch.no_grad():
        model[0].weight[0] = -5.0  # what is kept of the first layer is never active on positive inputs
    batches = [(torch.rand(6, 4), torch.randint(3, (6,))) for _ in range(4)]

    def one_each(found):
        return tt.Shares.of(dict.fromkeys(found, 1), found)

    found = foreseen(model, ["0.weight", "2.weight"], batches, F.cross_entropy, one_each)
    assert all(site.squared_gradient > 0 for site in found.values())
