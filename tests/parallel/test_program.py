"""`tighten run` in several processes: the network of one process, written once, and errors that all share."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.multiprocessing as mp
from tests.parallel.program import RECIPE, all_said, launched, resumed, stopped
from tests.parallel.spawn import METHOD, in_processes
from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, Std
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

import tighten as tt
from tighten.engine import run
from tighten.recipes import parse

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("alone") / "run"
    run(parse(RECIPE, "test"), RECIPE, folder, timed=False)
    return folder


def launch(n: int, argv: list[str], logs: Path) -> None:
    """What `torchrun --nproc-per-node N -m tighten ARGV` does, in processes that have everything imported."""
    settings = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=n,
        max_restarts=0,
        run_id=uuid.uuid4().hex,
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        start_method=METHOD,
        logs_specs=DefaultLogsSpecs(log_dir=str(logs), redirects=Std.ALL),
    )
    elastic_launch(settings, launched)(argv)


def log(folder: Path) -> list[dict[str, Any]]:
    lines = (folder / "log.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def as_alone(folder: Path, alone: Path) -> None:
    """The same epochs, and the same network but for the order of sums."""
    for one, other in zip(log(folder), log(alone), strict=True):
        assert (one["stage"], one["epoch"]) == (other["stage"], other["epoch"])
        assert one["loss"] == pytest.approx(other["loss"], rel=1e-3)
    found, wanted = (tt.Artifact.open(f / "net.tight") for f in (folder, alone))
    for name, tensor in wanted.state_dict().items():
        difference = (found.state_dict()[name] - tensor).norm() / tensor.norm()
        assert difference < 0.02, name
    for name, code in wanted.codes.items():
        kept, own = (c.dense() != 0 for c in (code, found.codes[name]))
        assert (kept != own).sum() <= 0.002 * kept.numel()


def test_the_launcher_in_two_processes(alone: Path, tmp_path: Path) -> None:
    (tmp_path / "tiny.toml").write_text(RECIPE, encoding="utf-8")
    folder = tmp_path / "two" / "run"
    launch(2, ["run", str(tmp_path / "tiny.toml"), "--out", str(folder)], tmp_path / "logs")
    as_alone(folder, alone)
    assert json.loads((folder / "result.json").read_text(encoding="utf-8"))["processes"] == 2
    first, second = (next((tmp_path / "logs").rglob(f"{rank}/stdout.log")) for rank in (0, 1))
    assert first.read_text().count("written: ") == 1
    assert second.read_text() == ""


def test_what_fails_in_one_process_fails_in_all_with_the_same_words(tmp_path: Path) -> None:
    """Data that only the second misses or cannot read, a folder that is taken, a disk that is full for the first."""
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "something").touch()
    source = "tests.parallel.program:source"
    jobs = [
        (tmp_path / "nowhere", RECIPE.replace(source, "tests.parallel.program:nowhere")),
        (tmp_path / "torn", RECIPE.replace(source, "tests.parallel.program:torn")),
        (tmp_path / "taken", RECIPE),
        (tmp_path / "full", RECIPE.replace("learning_rate = 0.2", "learning_rate = 0.11"), 10_000),
        (tmp_path / "exploding", RECIPE.replace("learning_rate = 0.2", "learning_rate = 1e9")),
    ]
    first, second = in_processes(2, all_said, jobs)
    assert first == second
    assert first[0] == "DataError: there are no digits here: give --data DIR"
    assert first[1] == "DataError: the third batch cannot be read: get a good copy"
    assert "'taken' is not empty" in first[2].replace(f"{tmp_path}/", "")
    assert "cannot be written (File too large)" in first[3]
    assert "TrainingError: the loss is " in first[4]
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.slow
def test_a_run_goes_on_in_another_number_of_processes(alone: Path, tmp_path: Path) -> None:
    """Stopped in two and resumed in one, stopped in one and resumed in two, all in the middle of a stage."""
    with pytest.raises(mp.ProcessExitedException):
        in_processes(2, stopped, tmp_path / "two")
    assert len(log(tmp_path / "two")) == 1
    run(parse(RECIPE, "test"), RECIPE, tmp_path / "two", resume=True, timed=False)
    as_alone(tmp_path / "two", alone)
    with pytest.raises(mp.ProcessExitedException):
        in_processes(1, stopped, tmp_path / "one")
    in_processes(2, resumed, tmp_path / "one")
    as_alone(tmp_path / "one", alone)


def started(words: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    environment = os.environ | {"OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo", "PYTHONPATH": path}
    words = [sys.executable, "-m", *words]
    return subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True)


@pytest.mark.slow
def test_a_process_that_is_killed_starts_all_again_and_the_file_has_the_same_bytes(tmp_path: Path) -> None:
    text = RECIPE.replace("program:source", "program:mortal")
    (tmp_path / "tiny.toml").write_text(text, encoding="utf-8")
    launcher = ["torch.distributed.run", "--nproc-per-node", "2", "--max-restarts", "1", "-m", "tighten"]
    done = started([*launcher, "run", "tiny.toml", "--out", "runs/a", "--threads", "1", "--resume"], tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("admm 1/2") == 1
    in_processes(2, resumed, tmp_path / "whole" / "run", text)
    whole = (tmp_path / "whole" / "run" / "net.tight").read_bytes()
    assert (tmp_path / "runs" / "a" / "net.tight").read_bytes() == whole


@pytest.mark.slow
@pytest.mark.parametrize(
    ("n", "command"),
    [
        (2, ["torch.distributed.run", "--nproc-per-node", "2", "-m", "tighten"]),
        (4, ["torch.distributed.run", "--nproc-per-node", "4", "-m", "tighten"]),
        (2, ["accelerate.commands.launch", "--cpu", "--num_processes", "2", "-m", "tighten"]),
    ],
)
def test_launchers_as_commands(alone: Path, tmp_path: Path, n: int, command: list[str]) -> None:
    (tmp_path / "tiny.toml").write_text(RECIPE, encoding="utf-8")
    words = [*command, "run", "tiny.toml", "--out", "runs/a"]
    done = started(words, tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("written: ") == 1
    as_alone(tmp_path / "runs" / "a", alone)
    # The folder now holds the run: each process ends with exit code 2, after one line.
    again = started(words, tmp_path)
    assert again.returncode == 1, "the launcher's own"
    assert again.stderr.count("error: the run folder 'runs/a' already holds this run") == 1
    assert "Traceback" not in again.stderr.partition("error: ")[0]


@pytest.mark.slow
def test_shrink_and_allocate_in_two_processes(tmp_path: Path) -> None:
    """A search makes the same steps; shares are found in one process."""
    shrink = "[shrink]\nepochs = 1\nretrain = 1\n"
    (tmp_path / "tiny.toml").write_text(RECIPE + shrink, encoding="utf-8")
    small = ["--accuracy", "5", "--rate", "4", "--out", str(tmp_path / "small")]
    launch(2, ["shrink", str(tmp_path / "tiny.toml"), *small], tmp_path / "logs")
    way = json.loads((tmp_path / "small" / "way.json").read_text(encoding="utf-8"))
    assert way["best"] == way["steps"][-1]["name"]
    assert tt.Artifact.open(tmp_path / "small" / "net.tight").codes
    with pytest.raises(ChildFailedError) as failed:
        launch(2, ["allocate", str(tmp_path / "tiny.toml"), "--rate", "4", "--out", "x.toml"], tmp_path / "logs")
    assert {failure.exitcode for failure in failed.value.failures.values()} <= {2, -15}
