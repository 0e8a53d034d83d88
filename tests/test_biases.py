"""Biases as full sites: pruned, quantized, stored and counted like weights, but not as weights."""

import copy

import pytest
import torch
from torch import nn

import tighten as tt
from tighten.report import report

STEPS = 4
LEVELS = {"*": tt.Uniform(bits=3, zero=False), "*.bias": tt.Uniform(bits=4, zero=False)}


class Net(nn.Module):
    """A LeNet for a class: 18 + 72 + 240 + 40 weights, 2 + 4 + 10 + 4 biases."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.conv1 = nn.Conv2d(1, 2, 3)
        self.conv2 = nn.Conv2d(2, 4, 3)
        self.fc1 = nn.Linear(24, 10)
        self.fc2 = nn.Linear(10, 4)

    def forward(self, x):
        x = nn.functional.max_pool2d(torch.relu(self.conv1(x)), 2)
        x = torch.relu(self.conv2(x))[:, :, :3, :2]
        return self.fc2(torch.relu(self.fc1(x.flatten(1))))


WEIGHTS, BIASES = 18 + 72 + 240 + 40, 20


def plan(kept=60):
    both = {"*": tt.Sparse(), "*.bias": tt.Sparse()}
    return [
        tt.Stage(both, tt.Admm(rho_end=1.0), 2, budget=tt.Budget(weights=kept)),
        tt.Stage({}, tt.Masked(), 1),
        tt.Stage(LEVELS, tt.Admm(rho_end=1.0, commit=False), 1),
        tt.Stage(LEVELS, tt.Freeze(passes=2), 1),
    ]


def trained(model, stages):
    """The session after all stages, and the parameters at each step of the last one."""
    session, seen = tt.Session(model, stages, steps_per_epoch=STEPS), []
    for stage in session:
        seen = []
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2, weight_decay=0.1)
        with stage.attached(optimizer):
            for step in range(stage.epochs * STEPS):
                generator = torch.Generator().manual_seed(step)
                x, y = torch.randn(8, 1, 12, 12, generator=generator), torch.randint(4, (8,), generator=generator)
                optimizer.zero_grad()
                nn.functional.cross_entropy(model(x), y).backward()
                optimizer.step()
                seen.append(torch.cat([p.detach().flatten().clone() for p in model.parameters()]))
    return session, seen


def count(model, biases):
    return sum(int((p != 0).sum()) for name, p in model.named_parameters() if name.endswith(".bias") is biases)


@pytest.fixture(scope="module")
def done():
    """A session that carried out the whole plan, and the parameters at each step of the last stage."""
    return trained(Net(), plan())


def test_weights_and_biases_share_a_budget_and_reach_the_file_bit_for_bit(done, tmp_path):
    session, seen = done
    model = session.model
    session.check()
    assert set(session.codes) == {name for name, _ in model.named_parameters()}
    # Quantization may drop an entry that is nearer to 0 than to a level.
    assert 55 <= count(model, biases=False) + count(model, biases=True) <= 60
    assert 0 < count(model, biases=True) < BIASES
    for name, p in model.named_parameters():
        assert len(p[p != 0].unique()) <= (16 if name.endswith(".bias") else 8)
    # In the last pass nothing is left to train, and nothing moves.
    assert all(torch.equal(now, seen[-1]) for now in seen[STEPS // 2 - 1 :])
    assert not torch.equal(seen[0], seen[-1])

    sizes = session.save(tmp_path / "net.tight")
    assert sizes.rest == 0
    other = Net()
    artifact = tt.load(tmp_path / "net.tight", other)
    for a, b in zip(model.state_dict().values(), other.state_dict().values(), strict=True):
        assert torch.equal(a.view(torch.int32), b.view(torch.int32))
    assert tt.Artifact.from_bytes(artifact.to_bytes()).to_bytes() == (tmp_path / "net.tight").read_bytes()
    assert set(artifact.meta["sets"]) == set(session.codes)


def test_the_report_counts_biases_apart(done):
    session, _ = done
    model, found = session.model, session.report()
    weights, biases = count(model, biases=False), count(model, biases=True)
    assert (found.weights, found.kept) == (WEIGHTS, weights)
    assert (found.biases, found.kept_biases) == (BIASES, biases)
    assert found.rate == pytest.approx(WEIGHTS / weights)
    assert found.rate_with_biases == pytest.approx((WEIGHTS + BIASES) / (weights + biases))
    assert found.dense_bytes == 4 * (WEIGHTS + BIASES)
    assert [site.is_weight for site in found.sites] == [True, False] * 4
    assert sum(site.bytes for site in found.sites) + found.sizes.header == found.sizes.total
    assert f"{weights} of {WEIGHTS} weights and {biases} of {BIASES} biases" in str(found)
    data = found.to_data()
    assert (data["kept"], data["kept_biases"], data["sites"][1]["axes"]) == (weights, biases, 1)


def test_biases_that_no_set_names_are_counted_whole():
    model = Net()
    session, _ = trained(model, [tt.Stage({"*": tt.Sparse(density=0.1)}, tt.Masked(), 1)])
    found = session.report()
    assert found.weights == WEIGHTS
    assert found.biases == found.kept_biases == BIASES
    assert found.rate_with_biases == pytest.approx((WEIGHTS + BIASES) / (found.kept + BIASES))
    assert "biases:" not in str(found)


def test_some_biases_may_be_sites_and_others_not():
    model = Net()
    sets = {"fc1.bias": tt.Sparse(count=3), "conv1.weight": tt.Sparse(count=5)}
    found = trained(model, [tt.Stage(sets, tt.Masked(), 1)])[0].report()
    assert (found.weights, found.kept) == (18, 5)
    # Weights that no set names are among the other numbers, on both sides.
    assert found.biases == WEIGHTS - 18 + BIASES
    assert found.kept_biases == found.biases - 10 + 3


def test_the_smallest_budget_keeps_one_entry_in_each_site():
    model = Net()
    session, _ = trained(model, plan(kept=8))
    assert [site.kept for site in session.report().sites] == [1] * 8
    again = tt.Artifact.from_bytes(session.artifact().to_bytes()).state_dict()
    for name, p in model.named_parameters():
        assert torch.equal(again[name], p.detach())
        assert int((p != 0).sum()) == 1


@pytest.mark.parametrize(
    "constraint",
    [
        tt.Sparse(count=1),
        tt.Sparse(density=1.0),
        tt.Sparse(count=1) & tt.Uniform(bits=4, zero=False),
        tt.Sparse(density=0.5) & tt.PowerOfTwo(bits=3),
        tt.Sparse(density=0.5) & tt.Codebook(levels=2),
        tt.Uniform(bits=4, zero=False),
        tt.Uniform(bits=4),
        tt.Ternary(),
        tt.Binary(),
    ],
)
@pytest.mark.parametrize("values", [[0.0] * 10, [0.0], [2.0], [0, 0, -3.0, 0], [-1e-30, 1e30]])
def test_small_and_empty_biases_are_stored_bit_for_bit(constraint, values):
    code = constraint.fit(torch.tensor(values))
    assert constraint.violations(code) == []
    state = {"bias": code.dense(), "weight": torch.ones(2, 3)}
    artifact = tt.Artifact.of(state, {"bias": code}, {})
    data = artifact.to_bytes()
    again = tt.Artifact.from_bytes(data)
    assert torch.equal(again.state_dict()["bias"].view(torch.int32), code.dense().view(torch.int32))
    assert again.to_bytes() == data
    found = report(again)
    assert (found.weights, found.biases) == (0, len(values) + 6)
    assert found.sizes.total == len(data)


def test_a_bias_that_is_zero_everywhere_goes_through_a_plan():
    model = Net()
    with torch.no_grad():  # a dead layer of biases: nothing of it is ever trained
        model.conv1.bias.zero_()
    before = copy.deepcopy(model.conv1.bias)
    sets = {"fc1.weight": tt.Sparse(count=9), "*.bias": tt.Sparse(count=1)}
    levels = {"fc1.weight": tt.Uniform(bits=3, zero=False), "*.bias": tt.Uniform(bits=4, zero=False)}
    stages = [tt.Stage(sets, tt.Masked(), 1), tt.Stage(levels, tt.Freeze(passes=2), 1)]
    session, _ = trained(model, stages)
    session.check()
    assert torch.equal(model.conv1.bias, before)
    assert [site.kept for site in session.report().sites] == [0, 1, 9, 1, 1]


def test_folding_respects_what_quantized_biases_can_be(done):
    before = done[0].model
    model = copy.deepcopy(before)
    quantized = {name for name, _ in model.named_parameters()}
    folding = tt.fold(model, torch.zeros(1, 1, 12, 12), only_zero=quantized)
    x = torch.randn(8, 1, 12, 12)
    assert torch.allclose(model(x), before(x), atol=1e-5)
    assert folding.biases > 0
    assert folding.filled == 0
    for p, q in zip(model.parameters(), before.parameters(), strict=True):
        assert torch.equal(p, torch.where(p != 0, q, 0.0))
