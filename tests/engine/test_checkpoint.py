"""Checkpoints in twos, whatever happens to one of them."""

import os

import pytest
import torch

from tighten.engine import checkpoint
from tighten.errors import RunError


def state(number):
    return {"number": number, "weight": torch.full((100,), float(number))}


def load(path, notes=None):
    return checkpoint.load(path, [].append if notes is None else notes.append)


def test_the_last_two_are_kept(tmp_path):
    path = tmp_path / "run" / "checkpoint.pt"
    assert load(path) is None
    for number in (1, 2, 3):
        checkpoint.save(path, state(number))
    assert load(path)["number"] == 3
    assert load(path.with_name("checkpoint.before.pt"))["number"] == 2
    assert {file.name for file in path.parent.iterdir()} == {"checkpoint.pt", "checkpoint.before.pt"}


@pytest.mark.parametrize("damage", [lambda d: d[:50], lambda d: b"", lambda d: d[:300] + b"\x01" + d[301:]])
def test_a_damaged_one_makes_way_for_the_one_before(tmp_path, damage):
    path, notes = tmp_path / "checkpoint.pt", []
    checkpoint.save(path, state(1))
    checkpoint.save(path, state(2))
    whole = path.read_bytes()
    changed = damage(whole)
    assert changed != whole
    path.write_bytes(changed)
    assert load(path, notes)["number"] == 1
    assert len(notes) == 1
    assert "is damaged" in notes[0]
    path.with_name("checkpoint.before.pt").unlink()
    with pytest.raises(RunError, match="remove it to start anew"):
        load(path)


def test_every_bit_of_a_tensor_is_looked_at(tmp_path):
    path = tmp_path / "checkpoint.pt"
    checkpoint.save(path, state(1))
    data = path.read_bytes()
    place = data.index(torch.ones(100).numpy().tobytes())
    for bit in (0, 7, 399 * 8):
        changed = bytearray(data)
        changed[place + bit // 8] ^= 1 << bit % 8
        path.write_bytes(changed)
        with pytest.raises(RunError, match="was changed"):
            load(path)


def test_a_kill_between_two_renamings_leaves_the_one_before(tmp_path, monkeypatch):
    path = tmp_path / "checkpoint.pt"
    checkpoint.save(path, state(1))
    moved = os.replace

    def killed(source, target):
        if target == path:
            raise KeyboardInterrupt
        moved(source, target)

    monkeypatch.setattr(os, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        checkpoint.save(path, state(2))
    monkeypatch.undo()
    notes = []
    assert load(path, notes)["number"] == 1
    assert not notes
    checkpoint.save(path, state(3))
    assert load(path)["number"] == 3


def test_nothing_in_a_file_is_executed(tmp_path):
    class Wild:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "made"),)

    torch.save({"wild": Wild()}, tmp_path / "checkpoint.pt")
    with pytest.raises(RunError, match="cannot be read"):
        load(tmp_path / "checkpoint.pt")
    assert not (tmp_path / "made").exists()


def test_what_cannot_be_written_is_told_and_the_old_ones_stay(tmp_path, monkeypatch):
    path = tmp_path / "checkpoint.pt"
    checkpoint.save(path, state(1))

    def full(number):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RunError, match=r"\(No space left on device\): make room and go on with --resume"):
        checkpoint.save(path, state(2))
    monkeypatch.undo()
    assert load(path)["number"] == 1
    assert [file.name for file in tmp_path.iterdir()] == ["checkpoint.pt"]
