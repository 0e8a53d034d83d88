"""Files written whole or not at all."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path

import pytest

from tighten.atomic import write_whole


def unfinished(path: Path, name: str, age: float) -> Path:
    """A file as a killed writer leaves it."""
    left = path.with_name(name)
    left.write_bytes(b"half")
    os.utime(left, (time.time() - age,) * 2)
    return left


def test_the_bytes_arrive_and_nothing_else_stays(tmp_path: Path) -> None:
    path = tmp_path / "net.tight"
    for data in (b"old", b"", b"new" * 1000):
        write_whole(path, data)
        assert path.read_bytes() == data
        assert list(tmp_path.iterdir()) == [path]


def test_what_cannot_be_written_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "net.tight"
    path.mkdir()
    (path / "inside").write_bytes(b"old")
    with pytest.raises(OSError, match=r"net\.tight"):
        write_whole(path, b"new")
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(FileNotFoundError):
        write_whole(tmp_path / "missing" / "net.tight", b"new")


def test_what_killed_writers_left_is_removed(tmp_path: Path) -> None:
    path = tmp_path / "net.tight"
    for number in range(5):
        unfinished(path, f".net.tight.0000000{number}.tmp", 120)
    write_whole(path, b"new")
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("name", "age"),
    [
        (".net.tight.00000000.tmp", 1),
        (".other.tight.00000000.tmp", 120),
        ("net.tight.00000000.tmp", 120),
        (".net.tight.backup", 120),
    ],
)
def test_other_files_are_left_alone(tmp_path: Path, name: str, age: float) -> None:
    left = unfinished(tmp_path / "net.tight", name, age)
    write_whole(tmp_path / "net.tight", b"new")
    assert left.read_bytes() == b"half"


def test_a_writer_at_work_is_left_alone(tmp_path: Path) -> None:
    left = unfinished(tmp_path / "net.tight", ".net.tight.00000000.tmp", 120)
    with left.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        write_whole(tmp_path / "net.tight", b"new")
        assert left.exists()
    write_whole(tmp_path / "net.tight", b"new")
    assert not left.exists()
