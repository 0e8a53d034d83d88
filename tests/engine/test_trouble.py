"""What goes wrong in a run: it stops with a clear message at the last good checkpoint, or goes on from there."""

import json
import os
import resource
import subprocess
import sys

import pytest
import torch

from tighten.codes import Dense
from tighten.data import digits
from tighten.engine import Listener, run
from tighten.engine.recover import Recovery
from tighten.errors import DataError, TrainingError
from tighten.methods import Admm, State
from tighten.recipes import Recover, parse

RECIPE = """
name = "tiny"
model = "tighten.zoo:DigitsNet"
data = "tests.engine.test_trouble:source"
validation = 800
batch_size = 64
optimizer = "torch.optim:SGD"
precision = "fp32"
[dense]
epochs = 1
learning_rate = 0.1
[[stages]]
epochs = 1
learning_rate = 0.1
method = { name = "Masked" }
[[stages]]
name = "pull"
epochs = 3
learning_rate = 0.1
method = { name = "Admm", rho = 1e-2, rho_end = RHO }
sets = { "*" = { name = "Sparse", density = 0.3 } }
"""


def source(root, *, validation, download=False, seed=0):
    """Digits, as long as their folder is there."""
    if root is not None and not (root / "here").exists():
        raise DataError(f"there is no data in '{root}': give --data DIR")
    return digits(validation=validation, seed=seed)


class Notes(Listener):
    def __init__(self):
        self.notes, self.epochs = [], []

    def note(self, text):
        self.notes.append(text)

    def epoch(self, epoch):
        self.epochs.append(epoch)


def carry_out(folder, rho=1.0, more="", **options):
    torch.set_num_threads(1)
    text = RECIPE.replace("RHO", str(rho)) + more
    listener = Notes()
    return run(parse(text, "test"), text, folder, listener=listener, **options), listener


RECOVER = "[recover]\ntries = {tries}\nrho_factor = {factor}\n"


@pytest.fixture(scope="module")
def exploded(tmp_path_factory):
    """A run whose pull, times the learning rate, is far above two: each step leads further away."""
    folder = tmp_path_factory.mktemp("exploded") / "run"
    with pytest.raises(TrainingError) as error:
        carry_out(folder, 1e6)
    return folder, str(error.value)


def test_an_exploding_rho_stops_the_run_at_a_good_checkpoint(exploded):
    folder, message = exploded
    assert "lower the learning rate or rho" in message
    assert f"the last checkpoint stays in '{folder}'" in message
    assert "[recover]" in message
    for name in ("checkpoint.pt", "checkpoint.before.pt"):
        state = torch.load(folder / name, weights_only=True)
        assert all(t.isfinite().all() for t in state["model"].values() if t.is_floating_point())
    assert not (folder / "net.tight").exists()


def test_a_recipe_may_go_on_with_a_smaller_rho(exploded):
    folder = exploded[0].parent / "recovered"
    result, heard = carry_out(folder, 1e6, RECOVER.format(tries=2, factor=1e-3))
    told = [note for note in heard.notes if "; back to the" in note]
    # The first try starts from weights that are finite, but already far away.
    assert ["last checkpoint, try 1 of 2" in note for note in told] == [True, False]
    assert "start of the stage, try 2 of 2, rho times 0.001" in told[1]
    assert heard.epochs[-1].rho == pytest.approx(1e6 * 1e-3**2)
    log = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    assert [(e["stage"], e["epoch"]) for e in log] == [("masked", 1), ("pull", 1), ("pull", 2), ("pull", 3)]
    assert result.report.rate > 3
    assert torch.load(folder / "checkpoint.pt", weights_only=True)["tries"] == {1: 2}


def test_a_recovered_run_that_was_interrupted_ends_with_the_same_bytes(exploded):
    """Stopped after the first try made an epoch, and again in the second: both are found again."""
    folder, heard = exploded[0].parent / "stopped", 0

    class Stop(Listener):
        def epoch(self, epoch):
            # The last epoch of a stage counts with the end of the stage.
            if epoch.stage == "pull" and epoch.epoch < 3:
                raise KeyboardInterrupt

    text = RECIPE.replace("RHO", str(1e6)) + RECOVER.format(tries=2, factor=1e-3)
    while True:
        try:
            result = run(parse(text, "test"), text, folder, listener=Stop(), resume=True)
            break
        except KeyboardInterrupt:
            heard += 1
            assert heard < 20
    assert heard >= 4
    whole, _ = carry_out(folder.parent / "recovered", 1e6, RECOVER.format(tries=2, factor=1e-3), resume=True)
    assert result.file.read_bytes() == whole.file.read_bytes()


def test_tries_come_to_an_end(exploded):
    folder, _ = exploded
    with pytest.raises(TrainingError, match="stays in"):
        carry_out(folder.parent / "tried", 1e6, RECOVER.format(tries=2, factor=0.99))


def test_a_stage_without_a_pull_is_not_tried_in_the_same_way_again():
    recovery = Recovery(Recover(tries=3))
    admm, masked = parse(RECIPE.replace("RHO", "1"), "test").plan()[::-1]
    assert recovery.may_try(1, admm)
    assert not recovery.may_try(0, masked)
    slower = Recovery(Recover(tries=1, rho_factor=1.0, learning_rate_factor=0.5), {0: 1})
    assert slower.may_try(1, masked)
    assert not slower.may_try(0, masked)
    table = parse(RECIPE.replace("RHO", "1"), "test").stages[0]
    assert slower.table(0, table).learning_rate == 0.05
    assert slower.table(1, table).learning_rate == 0.1
    assert slower.said() == "the learning rate times 0.5"


def test_a_weaker_pull_keeps_its_multiplier_and_its_growth():
    z, u = torch.tensor([1.0, 0.0]), torch.tensor([0.25, -0.5])
    state = State(rho=8.0, codes={"w": Dense(z)}, targets={"w": z - u})
    recovery = Recovery(Recover(tries=2, rho_factor=0.5), {1: 2})
    recovery.weaken(state, 2)
    assert state.rho == 2.0
    torch.testing.assert_close(2.0 * (z - state.targets["w"]), 8.0 * u)
    plan = recovery.plan(parse(RECIPE.replace("RHO", "1.0"), "test").plan())
    assert isinstance(plan[1].method, Admm)
    assert (plan[1].method.rho, plan[1].method.rho_end) == (0.0025, 0.25)


def test_a_vanished_data_folder_is_told_and_the_run_goes_on_when_it_is_back(tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    (data / "here").touch()

    class Stop(Listener):
        def epoch(self, epoch):
            if epoch.stage == "pull":
                raise KeyboardInterrupt

    text = RECIPE.replace("RHO", "1.0")
    with pytest.raises(KeyboardInterrupt):
        run(parse(text, "test"), text, tmp_path / "run", root=data, listener=Stop())
    data.rename(tmp_path / "away")
    before = {file.name: file.read_bytes() for file in (tmp_path / "run").iterdir()}
    with pytest.raises(DataError, match="there is no data"):
        carry_out(tmp_path / "run", root=data, resume=True)
    assert before == {file.name: file.read_bytes() for file in (tmp_path / "run").iterdir()}
    (tmp_path / "away").rename(data)
    _, heard = carry_out(tmp_path / "run", root=data, resume=True)
    assert [e.epoch for e in heard.epochs] == [2, 3]


def test_a_full_disk_ends_with_one_line_and_the_run_goes_on_when_there_is_room(exploded, tmp_path):
    text = RECIPE.replace("RHO", "1.0")
    (tmp_path / "tiny.toml").write_text(text)
    # The dense network is there already; the first checkpoints fit, that of an ADMM stage holds more.
    (tmp_path / ".dense").symlink_to(exploded[0].parent / ".dense")
    room = 200_000

    def limited():
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))

    root = str(os.getcwd())
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join([root, os.environ.get("PYTHONPATH", "")]),
        "COLUMNS": "200",
    }
    command = [sys.executable, "-m", "tighten", "run", "tiny.toml", "--out", "run", "--threads", "1"]
    options = {"cwd": tmp_path, "env": environment, "capture_output": True, "text": True}
    done = subprocess.run(command, preexec_fn=limited, **options)
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert "checkpoint.next.pt' cannot be written (File too large): make room and go on with --resume" in done.stderr
    assert {"checkpoint.pt", "recipe.toml"} <= {file.name for file in (tmp_path / "run").iterdir()}
    assert not list((tmp_path / "run").glob("*.tmp"))
    result, _ = carry_out(tmp_path / "run", resume=True)
    whole, _ = carry_out(tmp_path / "whole")
    assert result.file.read_bytes() == whole.file.read_bytes()
