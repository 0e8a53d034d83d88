"""Files without names."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from tighten.artifact import Artifact, load
from tighten.codes import Code, Dense, Indexed
from tighten.errors import ArtifactError


class Net(nn.Module):
    def __init__(self, width: int = 6) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, width, 3)
        self.encoder = nn.Linear(width, 4, bias=False)
        self.decoder = nn.Linear(width, 4, bias=False)
        self.decoder.weight = self.encoder.weight


def saved(meta: dict[str, object]) -> tuple[Net, Artifact]:
    net = Net()
    codes: dict[str, Code] = {"conv.weight": Dense(net.conv.weight.detach())}
    return net, Artifact.of(net.state_dict(), codes, meta)


def assert_same(a: dict[str, Tensor], b: dict[str, Tensor]) -> None:
    assert list(a) == list(b)
    assert all(torch.equal(a[name], b[name]) for name in a)


def test_names_are_left_out_and_found_in_the_model(tmp_path: Path) -> None:
    meta: dict[str, object] = {
        "sets": {"conv.weight": {"name": "Far"}, "encoder.weight": {"name": "Sparse", "count": 99}}
    }
    net, full = saved(meta)
    full.without_names().save(tmp_path / "net.tight")
    assert b"encoder" not in (tmp_path / "net.tight").read_bytes()
    loaded = load(tmp_path / "net.tight", Net())
    assert_same(loaded.state_dict(), dict(net.state_dict()))
    assert (loaded.meta, loaded.aliases, loaded.order) == (full.meta, full.aliases, full.order)
    assert loaded.to_bytes() == full.to_bytes()


def test_another_model_is_told_by_its_fingerprint(tmp_path: Path) -> None:
    saved({})[1].without_names().save(tmp_path / "net.tight")
    with pytest.raises(ArtifactError, match="holds no names, and its fingerprint"):
        load(tmp_path / "net.tight", Net(width=7))


def test_a_table_of_small_floats_is_stored() -> None:
    levels = torch.tensor([-1.0, 1.0]).to(torch.float8_e4m3fn)
    code = Indexed(torch.tensor([0, 1, 1]), levels, torch.ones(1).to(torch.float8_e4m3fn), torch.tensor([3]))
    made = Artifact({"w": code}, {}, ("w",), {}, {})
    assert isinstance(back := Artifact.from_bytes(made.to_bytes()).codes["w"], Indexed)
    assert torch.equal(back.steps.view(torch.uint8), levels.view(torch.uint8))
