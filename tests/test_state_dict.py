"""The state dict of a file, without the artifact around it."""

from pathlib import Path

import torch
from tests.test_artifact import artifact

from tighten.artifact import Artifact, state_dict


def test_a_state_dict_is_read_tensor_by_tensor(tmp_path: Path) -> None:
    path, counts = tmp_path / "net.tight", []
    written = artifact()
    written.save(path)
    state = state_dict(path, lambda done, of: counts.append((done, of)))
    assert list(state) == list(written.order)
    assert all(torch.equal(state[name], value) for name, value in written.state_dict().items())
    assert counts == [(i + 1, len(written.order)) for i in range(len(written.order))]


def test_tied_tensors_are_read_as_one(tmp_path: Path) -> None:
    weight = torch.randn(3, 2)
    Artifact.of({"a": weight, "b": weight}, {}, {}).save(tmp_path / "net.tight")
    state = state_dict(tmp_path / "net.tight")
    assert state["a"] is state["b"]
