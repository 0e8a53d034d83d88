"""The exported program, used as someone would who has neither tighten nor the model."""

import subprocess
import sys

import pytest
import torch
from tests.compact.nets import Net, deafen, drawn, inputs

import tighten as tt
from tighten.artifact import Artifact
from tighten.export import Network, export

READER = """
import sys
import torch

program, x, out = sys.argv[1:]
with torch.no_grad():
    torch.save([torch.export.load(program).module()(x) for x in torch.load(x)], out)
assert not [name for name in sys.modules if name.startswith(("tighten", "tests"))]
"""


@pytest.fixture
def model():
    return deafen(drawn(Net()), "b", [1, 3])


def exported(model, tmp_path):
    artifact = Artifact.of(model.state_dict(), {}, {})
    return export(
        artifact, "shrunk", beside=tmp_path / "net.tight", network=lambda: Network.of(artifact, model, (1, 8, 8))
    )


def test_another_process_runs_it_without_tighten(model, tmp_path):
    written = exported(model, tmp_path)
    assert written.path == tmp_path / "net.pt2"
    given = [inputs(n, 1, 8, 8) for n in (1, 2, 7)]
    torch.save(given, tmp_path / "x.pt")
    command = [sys.executable, "-c", READER, str(written.path), str(tmp_path / "x.pt"), str(tmp_path / "y.pt")]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for x, y in zip(given, torch.load(tmp_path / "y.pt"), strict=True):
        torch.testing.assert_close(y, model(x).detach())


def test_it_holds_the_small_tensors_and_says_so(model, tmp_path):
    written = exported(model, tmp_path)
    state = torch.export.load(written.path).state_dict
    assert state["b.weight"].shape == (6, 2, 3, 3)
    assert sum(value.numel() for value in state.values()) == 148
    text = "\n".join(written.lines)
    assert "parameters: 276 -> 148" in text
    assert "multiply-accumulates: 4,764 -> 2,388" in text
    assert f"{written.path.stat().st_size:,} bytes" in text


def test_a_network_that_is_not_a_program_is_refused(tmp_path):
    class OneByOne(Net):
        def forward(self, x):
            return super().forward(x).view(1, 2)

    class Deciding(Net):
        def forward(self, x):
            return super().forward(x) if x.sum() > 0 else -super().forward(x)

    with pytest.raises(tt.ArtifactError, match=r"torch\.export cannot hold OneByOne"):
        exported(OneByOne(), tmp_path)
    with pytest.raises(tt.PlanError, match="Deciding cannot be traced"):
        exported(Deciding(), tmp_path)
    assert not list(tmp_path.iterdir())


def test_nothing_is_written_where_the_folder_is_missing(model, tmp_path):
    with pytest.raises(tt.ArtifactError, match="choose another --out"):
        exported(model, tmp_path / "nowhere")
