"""Budgets of a network that is not yet compressed: files are measured, and never too large."""

import pytest
import torch

import tighten as tt
from tighten.allocation import Budget, Evidence, fisher, lamp
from tighten.engine.sharing import ByRule, ByTradeoff, coded_bits, file_size
from tighten.errors import PlanError
from tighten.zoo import DigitsNet

FACTS = {"model": "tighten.zoo:DigitsNet"}


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return DigitsNet()


@pytest.fixture(scope="module")
def sites(network):
    factors = (1e-3, 1e-4, 1e-5, 1e-4)
    found = zip(tt.weights(network), factors, strict=True)
    return {name: Evidence(network.get_parameter(name).detach(), factor) for name, factor in found}


@pytest.fixture(scope="module")
def size_of(network):
    return file_size(network, FACTS)


@pytest.mark.parametrize(
    ("sharing", "budget"),
    [
        (ByTradeoff, Budget(bytes=1600)),
        (ByTradeoff, Budget(bytes=4000)),
        (lambda b, s: ByRule(b, s, fisher), Budget(bytes=1600, value_bits=3)),
        (lambda b, s: ByRule(b, s, lamp), Budget(bytes=4000)),
    ],
)
def test_files_are_within_two_percent_and_never_above(sites, size_of, sharing, budget):
    asked = sharing(budget, size_of)
    shares = asked.exactly(sites)
    assert 0.98 * budget.bytes <= size_of(shares) <= budget.bytes
    assert coded_bits(asked.roughly(sites)) == pytest.approx(coded_bits(shares), rel=0.35)


def test_the_size_is_that_of_the_file_a_session_writes(network, sites, size_of, tmp_path):
    shares = ByRule(Budget(rate=15), size_of, lamp).exactly(sites)
    model = DigitsNet()
    model.load_state_dict(network.state_dict())
    session = tt.Session(model, [tt.Stage(shares.sets(), tt.Masked(), epochs=1)], steps_per_epoch=1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    for stage in session:
        with stage.attached(optimizer):
            optimizer.step()
    assert session.save(tmp_path / "net.tight", FACTS).total == size_of(shares)


def test_other_units(sites, size_of):
    assert sum(s.count for s in ByRule(Budget(rate=20), size_of, fisher).exactly(sites).values()) == 1120
    shares = ByRule(Budget(bits=9000, value_bits=4), size_of, fisher).exactly(sites)
    assert {s.bits for s in shares.values()} == {4}
    assert 0.97 * 9000 <= coded_bits(shares) <= 9000
    shares = ByTradeoff(Budget(bits=9000), size_of).exactly(sites)
    assert 0.97 * 9000 <= coded_bits(shares) <= 9000


def test_a_file_that_cannot_be_is_told(sites, size_of):
    for sharing in (ByTradeoff(Budget(bytes=600), size_of), ByRule(Budget(bytes=600), size_of, lamp)):
        with pytest.raises(PlanError, match="a file of 600 bytes cannot hold"):
            sharing.roughly(sites)
