"""`tighten shrink` as a user meets it: the whole way, a kill in the middle, and bad input."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import asdict

import pytest
from tests.cli.program import refused, tighten

import tighten as tt
from tighten.cli.progress import Progress
from tighten.engine import Way

RECIPE = """
name = "tiny"
model = "tighten.zoo:DigitsNet"
data = "tighten.data:digits"
validation = 200
[dense]
epochs = 3
learning_rate = 2e-3
[shrink]
part = 0.78
epochs = 1
retrain = 2
polish = 1
quantize = 1
settle = 1
"""
WISH = ("--accuracy", 20, "--rate", 20, "--value-bits", 3, "--threads", 1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a finished way in `a`."""
    folder = tmp_path_factory.mktemp("shrink")
    (folder / "tiny.toml").write_text(RECIPE)
    done = tighten("shrink", "tiny.toml", *WISH, "--out", "a", cwd=folder)
    assert done.returncode == 0, done.stderr
    (folder / "printed").write_text(done.stdout)
    return folder


def test_the_way_is_told_drawn_and_kept(folder):
    way = Way.load(folder / "a" / "way.json")
    assert [s.kind for s in way.steps] == ["prune", "prune", "polish", "quantize"]
    assert [s.origin for s in way.steps] == ["", "step-01", "step-02", "step-03"]
    assert all(s.passed and s.accuracy >= 20 for s in way.steps)
    # Folding and entries that fall on no level may leave fewer than were asked for.
    assert way.entries / way.steps[-1].kept >= 20
    assert way.best == "step-04"
    assert way.epochs == 3 + 3 + 1 + 2
    printed = (folder / "printed").read_text()
    assert f"{way.steps[-1].bytes:,}" in printed
    assert "best" in printed
    assert (folder / "a" / "way.png").read_bytes().startswith(b"\x89PNG")


def test_each_step_leaves_a_file_that_goes_on_from_the_one_before(folder):
    way = Way.load(folder / "a" / "way.json")
    files = [tt.Artifact.open(folder / "a" / s.name / "net.tight") for s in way.steps]
    supports = [{name: code.dense() != 0 for name, code in file.codes.items()} for file in files]
    for step, before, after in zip(way.steps[1:], supports, supports[1:], strict=False):
        assert sum(int(s.sum()) for s in after.values()) == step.kept
        assert not any((after[name] & ~before[name]).any() for name in after)
    final = tt.Artifact.open(folder / "a" / "net.tight")
    assert (folder / "a" / "net.tight").stat().st_size == way.steps[-1].bytes
    assert all(len(code.dense().unique()) <= 2**3 + 1 for code in final.codes.values())
    assert tighten("verify", "a/net.tight", cwd=folder).returncode == 0


def test_a_finished_way_can_be_read_again_as_json(folder):
    done = tighten("shrink", "tiny.toml", *WISH, "--out", "a", "--resume", "--json", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == json.loads((folder / "a" / "way.json").read_text())


def interrupted(folder, monkeypatch):
    """Stopped with Ctrl-C in its second step."""

    def epoch(self, epoch):
        if (folder / "way.json").exists():
            signal.raise_signal(signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(Progress, "epoch", epoch)
        assert tighten("shrink", "tiny.toml", *WISH, "--out", folder, cwd=folder.parent).returncode == 130


def killed(folder, monkeypatch):
    command = [sys.executable, "-m", "tighten", "shrink", "tiny.toml", *map(str, WISH), "--out", folder.name]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, cwd=folder.parent, env=environment, stdout=subprocess.DEVNULL)
    log, deadline = folder / "step-02" / "log.jsonl", time.monotonic() + 60
    while not log.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    process.kill()
    process.wait()


@pytest.mark.parametrize("stop", [interrupted, pytest.param(killed, marks=pytest.mark.slow)])
def test_a_way_that_was_stopped_goes_on_and_ends_with_the_same_bytes(folder, monkeypatch, stop):
    out = folder / stop.__name__
    stop(out, monkeypatch)
    assert (out / "step-02" / "log.jsonl").exists()
    assert not (out / "net.tight").exists(), "the run was too fast to be stopped"
    refused(tighten("shrink", "tiny.toml", *WISH, "--out", out, cwd=folder))
    done = tighten("shrink", "tiny.toml", *WISH, "--out", out, "--resume", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert (out / "net.tight").read_bytes() == (folder / "a" / "net.tight").read_bytes()
    first, again = (Way.load(way / "way.json") for way in (folder / "a", out))
    assert [(s.kind, s.kept, s.accuracy) for s in again.steps] == [(s.kind, s.kept, s.accuracy) for s in first.steps]


HASTY = RECIPE.replace("part = 0.78", "part = 1").replace("retrain = 2", "retrain = 1\nexchange = 8")


def hasty(folder, out, accuracy, recipe=HASTY):
    """The way to a goal that is one step away, under a gate of some accuracy."""
    (folder / "hasty.toml").write_text(recipe.replace("polish = 1", "polish = 0"))
    wish = ("--accuracy", accuracy, "--bytes", 2500, "--value-bits", 4, "--threads", 1, "--out", out, "--resume")
    done = tighten("shrink", "hasty.toml", *wish, cwd=folder)
    assert done.returncode == 0, done.stderr
    return Way.load(folder / out / "way.json")


def test_a_step_that_fails_narrowly_is_exchanged_before_the_way_goes_back(folder):
    without = hasty(folder, "lenient", 20)
    assert [s.kind for s in without.steps] == ["prune", "quantize"]
    gate = without.steps[0].accuracy + 1
    way = hasty(folder, "strict", gate)
    failed, exchanged = way.steps[:2]
    assert (failed.kind, failed.passed) == ("prune", False)
    assert (exchanged.kind, exchanged.origin, exchanged.passed) == ("exchange", "step-01", True)
    assert exchanged.size == failed.size
    files = [tt.Artifact.open(folder / "strict" / s.name / "net.tight") for s in way.steps[:2]]
    before, after = ({name: code.dense() != 0 for name, code in file.codes.items()} for file in files)
    assert any((after[name] & ~before[name]).any() for name in after)
    assert (folder / "strict" / "net.tight").stat().st_size <= 2500
    # A search that was killed in between makes up for it.
    (folder / "strict" / "way.json").write_text(json.dumps({**asdict(way), "steps": [asdict(failed)], "best": ""}))
    shutil.rmtree(folder / "strict" / "step-02")
    again = hasty(folder, "strict", gate)
    assert [(s.kind, s.accuracy) for s in again.steps] == [(s.kind, s.accuracy) for s in way.steps]


def test_under_a_gate_above_the_dense_network_or_where_it_is_turned_off_nothing_is_exchanged(folder):
    steep = HASTY.replace("[shrink]", "[shrink]\nleast_factor = 4")
    assert {s.kind for s in hasty(folder, "far", 99.9, steep).steps} == {"prune"}
    accuracy = hasty(folder, "lenient", 20).steps[0].accuracy
    none = steep.replace("exchange = 8", "exchange = 0")
    assert {s.kind for s in hasty(folder, "none", accuracy + 1, none).steps} == {"prune"}


@pytest.mark.parametrize(("factor", "tried"), [(1200, [False]), (8000, [])])
def test_a_way_without_a_goal_never_empties_the_network(folder, factor, tried):
    """22,416 weights in four layers: 18 of them join nothing to anything, and 2 are not one for each layer."""
    steep = RECIPE.replace("part = 0.78", f"factor = {factor}\nleast_factor = 40").replace("retrain = 2", "retrain = 1")
    (folder / "steep.toml").write_text(steep)
    done = tighten("shrink", "steep.toml", "--accuracy", 0, "--out", f"steep{factor}", "--threads", 1, cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "no step passed the gate" in done.stdout
    assert [s.passed for s in Way.load(folder / f"steep{factor}" / "way.json").steps] == tried


def test_a_gate_that_nothing_passes_says_so_and_leaves_the_attempts(folder):
    (folder / "hard.toml").write_text(RECIPE.replace("retrain = 2", "retrain = 2\nleast_factor = 4"))
    done = tighten("shrink", "hard.toml", "--accuracy", 100, "--out", "hard", "--threads", 1, cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "no step passed the gate" in done.stdout
    way = Way.load(folder / "hard" / "way.json")
    assert way.best == ""
    assert [s.passed for s in way.steps] == [False]
    assert not (folder / "hard" / "net.tight").exists()


def test_a_wish_in_bytes_is_met_and_not_exceeded(folder):
    (folder / "direct.toml").write_text(RECIPE.replace("part = 0.78", "part = 1").replace("polish = 1", "polish = 0"))
    wish = ("--accuracy", 20, "--bytes", 2500, "--value-bits", 4, "--threads", 1)
    done = tighten("shrink", "direct.toml", *wish, "--out", "bytes", cwd=folder)
    assert done.returncode == 0, done.stderr
    # Quantization may take less than was foreseen.
    assert 0.9 * 2500 <= (folder / "bytes" / "net.tight").stat().st_size <= 2500
    shown = refused(tighten("shrink", "tiny.toml", "--accuracy", 20, "--bytes", 100, "--out", "tiny", cwd=folder))
    assert "100 bytes cannot hold this network" in shown


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--rate", 20), "either a drop or an accuracy"),
        (("--drop", 1, "--accuracy", 99), "either a drop or an accuracy"),
        (("--drop", 1, "--rate", 20, "--kept", 100), "more than one of --rate"),
        (("--drop", 1, "--rate", 0.5), "0.5"),
        (("--drop", 1, "--kept", 10_000_000), "10000000"),
    ],
)
def test_wishes_that_cannot_be_are_refused_before_anything_is_trained(folder, arguments, message):
    shown = refused(tighten("shrink", "tiny.toml", *arguments, "--out", "never", cwd=folder))
    assert message in shown
    assert not (folder / "never").exists()


def test_a_recipe_without_stages_is_for_shrinking_only(folder):
    assert "no [[stages]]" in refused(tighten("run", "tiny.toml", "--out", "never", cwd=folder))
    assert not (folder / "never").exists()


def test_a_folder_of_another_wish_is_refused(folder):
    shown = refused(tighten("shrink", "tiny.toml", "--accuracy", 30, "--out", "a", "--resume", cwd=folder))
    assert "belongs to another recipe" in shown


def test_a_way_that_cannot_be_read_is_named(folder):
    (folder / "broken.json").write_text(json.dumps({"steps": 3}))
    with pytest.raises(tt.TightenError, match=r"broken\.json"):
        Way.load(folder / "broken.json")
