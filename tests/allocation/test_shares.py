"""Shares are printed, saved, edited and given back."""

import math
import re

import pytest
import torch
from torch import nn

import tighten as tt
from tighten.allocation import Evidence, lamp
from tighten.allocation.share import Share
from tighten.allocation.shares import Shares
from tighten.errors import PlanError


def some():
    return Shares(
        {"conv1.weight": Share(60, 144, 5), "fc.weight": Share(1_000, 16_384), 'odd "name" \\ é': Share(1, 3, 1)}
    )


def network():
    return nn.Sequential(nn.Linear(20, 30), nn.ReLU(), nn.Linear(30, 4))


def test_a_share_says_its_density_rate_and_bits():
    share = Share(60, 240, 3)
    assert share.density == 0.25
    assert share.rate == 4
    assert share.coded_bits == pytest.approx(math.log2(math.comb(240, 60)) + 180)
    assert Share(240, 240).coded_bits == pytest.approx(240 * 32)


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ((0, 10), "count = 0: give a whole number from 1 to 10"),
        ((11, 10), "count = 11"),
        ((1.5, 10), "count = 1.5"),
        ((True, 10), "count = True"),
        ((1, 0), "of = 0"),
        ((1, 10, 9), "bits = 9: give a whole number from 1 to 8"),
        ((1, 10, 0), "bits = 0"),
        ((1, 10, "4"), "bits = '4'"),
    ],
)
def test_shares_that_cannot_be(numbers, message):
    with pytest.raises(PlanError, match=re.escape(message)):
        Share(*numbers)


def test_what_is_saved_is_loaded(tmp_path):
    shares = some()
    shares.save(tmp_path / "shares.toml")
    again = Shares.load(tmp_path / "shares.toml")
    assert again == shares
    assert list(again) == list(shares)
    assert "shares.toml" in again.where


def test_the_file_can_be_edited(tmp_path):
    path = tmp_path / "shares.toml"
    some().save(path)
    text = path.read_text()
    line = '"conv1.weight" = { count = 60, of = 144, bits = 5 }'
    assert line in text.splitlines()
    path.write_text(text.replace("count = 60", "count = 50").replace(", bits = 5", ""))
    edited = Shares.load(path)
    assert edited["conv1.weight"] == Share(50, 144)
    assert list(edited) == list(some())
    path.write_text('"conv1.weight" = { count = 50, of = 144 }  # fewer\n')
    assert Shares.load(path) == Shares({"conv1.weight": Share(50, 144)})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("fc = { count = 3, of = 2 }", "'fc' has count = 3: give a whole number from 1 to 2"),
        ("fc = { count = 3 }", "'fc' has no of; write \"fc\" = { count = 50"),
        ("fc = { of = 3 }", "'fc' has no count"),
        ("fc = { cuont = 3, of = 5 }", "unknown key 'cuont' of 'fc'; did you mean 'count'"),
        ("fc = 5", "'fc' is 5; write"),
        ("fc = { count = 3, of =", "not valid TOML"),
        ("fc.weight = { count = 3, of = 5 }", "unknown key 'weight' of 'fc'"),
        ("", "name no site"),
    ],
)
def test_damaged_files_name_file_site_and_fix(tmp_path, text, message):
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(PlanError, match=re.escape(message)) as error:
        Shares.load(path)
    assert "mine.toml" in str(error.value)


def test_files_that_cannot_be_read_or_written(tmp_path):
    with pytest.raises(PlanError, match=r"none\.toml.*tighten allocate"):
        Shares.load(tmp_path / "none.toml")
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(PlanError, match=r"binary\.toml' cannot be read"):
        Shares.load(tmp_path / "binary.toml")
    with pytest.raises(PlanError, match="cannot be written"):
        some().save(tmp_path / "nowhere" / "shares.toml")


def test_the_table_adds_up():
    shares = Shares({"conv1.weight": Share(60, 144, 5), "fc.weight": Share(1_000, 16_384, 2)})
    lines = str(shares).splitlines()
    assert len({len(line) for line in lines}) == 1
    assert lines[0].split() == ["site", "weights", "kept", "density", "rate", "bits", "bytes"]
    assert lines[1].split() == ["conv1.weight", "144", "60", "41.67", "%", "2.4x", "5", "55"]
    assert lines[3].split()[:6] == ["all", "sites", "16,528", "1,060", "6.41", "%"]
    total = sum(share.coded_bits for share in shares.values())
    assert lines[3].split()[6:] == ["15.6x", "2.17", f"{math.ceil(total / 8):,}"]
    assert "free" in str(some())


def test_any_rule_gives_shares_and_shares_give_a_stage():
    torch.manual_seed(0)
    model = network()
    sites = {name: Evidence(p.detach()) for name, p in model.named_parameters() if p.ndim > 1}
    shares = Shares.of(lamp(sites, 60), sites)
    assert sum(s.count for s in shares.values()) == 60
    stage = tt.Stage(shares.supports(), tt.Masked(), epochs=1)
    session = tt.Session(model, [stage], steps_per_epoch=1)
    for active in session:
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        with active.attached(optimizer):
            optimizer.zero_grad()
            model(torch.randn(8, 20)).square().mean().backward()
            optimizer.step()
    assert {name: int((p != 0).sum()) for name, p in model.named_parameters() if p.ndim > 1} == {
        name: share.count for name, share in shares.items()
    }


def test_a_rule_that_spends_more_than_there_is_is_told():
    sites = {"w": Evidence(torch.randn(5))}
    with pytest.raises(PlanError, match="the share of 'w' has count = 6"):
        Shares.of({"w": 6}, sites)


def test_sets_are_supports_and_levels():
    shares = some()
    assert shares.supports()["conv1.weight"] == tt.Sparse(count=60)
    assert shares.levels()["conv1.weight"] == tt.Uniform(5, zero=False)
    assert "fc.weight" not in shares.levels()
    assert shares.sets()["conv1.weight"] == tt.Sparse(count=60) & tt.Uniform(5, zero=False)
    assert shares.sets()["fc.weight"] == tt.Sparse(count=1_000)


def test_shares_are_checked_against_the_model():
    shares = Shares({"0.weight": Share(9, 600), "2.weight": Share(9, 120)}, "the shares 'a.toml'")
    shares.check(network())
    assert shares.selector("2.weight")(network()) == ["2.weight"]
    other = nn.Sequential(nn.Linear(20, 31), nn.ReLU(), nn.Linear(31, 4))
    with pytest.raises(PlanError, match=r"'a\.toml' say of = 600 for '0\.weight', which has 620 entries"):
        shares.check(other)
    with pytest.raises(
        PlanError, match=r"'a\.toml' name '2\.weight', which Linear does not have; did you mean 'weight'"
    ):
        shares.selector("2.weight")(nn.Linear(3, 3))
