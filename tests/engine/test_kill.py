"""Runs killed at random moments, some of them while a file is written, end with the bytes of an undisturbed one."""

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
KILLED = -signal.SIGKILL


class Nursery:
    """Runs in children of a process that has everything imported."""

    def __init__(self):
        environment = os.environ | {
            "OMP_NUM_THREADS": "1",
            "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "src"), os.environ.get("PYTHONPATH", "")]),
        }
        command = [sys.executable, "-m", "tests.engine.killing"]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, cwd=ROOT, env=environment, stdin=pipe, stdout=pipe, text=True)

    def run(self, folder, at=None, after=None):
        """The exit code of a run.

        Args:
            folder: of the run.
            at: the step of writing at which it kills itself.
            after: the seconds after which it is killed.
        """
        self.process.stdin.write(f"{folder}\n" if at is None else f"{folder} {at}\n")
        self.process.stdin.flush()
        child = int(self.process.stdout.readline())
        if after is not None:
            timer = threading.Timer(after, _kill, [child])
            timer.start()
        code = int(self.process.stdout.readline())
        if after is not None:
            timer.cancel()
        return code


def _kill(child):
    with contextlib.suppress(ProcessLookupError):
        os.kill(child, signal.SIGKILL)


@pytest.fixture(scope="module")
def nursery():
    made = Nursery()
    yield made
    made.process.kill()
    made.process.wait()


@pytest.fixture(scope="module")
def whole(nursery, tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole") / "run"
    assert nursery.run(folder) == 0
    return folder


def said(folder):
    """What the run says of its epochs, times aside."""
    lines = (folder / "log.jsonl").read_text().splitlines()
    return [{name: value for name, value in json.loads(line).items() if name != "seconds"} for line in lines]


def same(folder, whole):
    assert (folder / "net.tight").read_bytes() == (whole / "net.tight").read_bytes()
    assert said(folder) == said(whole)


pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")


def test_two_kills_and_a_resume(nursery, whole, tmp_path):
    folder = tmp_path / "run"
    for at in (9, 17):
        assert nursery.run(folder, at=at) == KILLED
        assert not (folder / "net.tight").exists()
    assert nursery.run(folder) == 0
    same(folder, whole)


@pytest.mark.slow
def test_thirty_kills_at_random_moments(nursery, whole, tmp_path):
    rng, kills, number = random.Random(0), 0, 0
    while kills < 30:
        number += 1
        folder = tmp_path / f"{number}" / "run"
        code = KILLED
        while code == KILLED:
            if kills >= 30:
                how = {}
            elif kills % 2:
                how = {"at": rng.randint(1, 25)}
            else:
                how = {"after": rng.uniform(0, 2.5)}
            code = nursery.run(folder, **how)
            kills += code == KILLED
        assert code == 0
        same(folder, whole)
    left = [file.name for file in folder.iterdir() if file.name.endswith(".tmp")]
    assert len(left) <= 30
