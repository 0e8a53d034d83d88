"""`tighten watch` on folders of runs that wait, work, have ended, or are none."""

import json
import os
import shutil
import sys
import threading
import time

import pytest
import torch
from rich.console import Console
from tests.cli.program import refused, tighten

from tighten.cli import follow
from tighten.cli.follow import standing, watch
from tighten.engine import Listeners, TensorBoard, run
from tighten.engine.events import Epoch, Listener
from tighten.errors import RunError
from tighten.recipes import parse

RECIPE = """
name = "tiny"
model = "tighten.zoo:DigitsNet"
data = "tighten.data:digits"
validation = 800
batch_size = 64
[dense]
epochs = 1
learning_rate = 2e-3
[[stages]]
name = "prune [x]"
epochs = 2
learning_rate = 2e-3
method = { name = "Admm" }
sets = { "*" = { name = "Sparse", density = 0.3 } }
[[stages]]
epochs = 2
learning_rate = 2e-3
method = { name = "Masked" }
"""


class Stop(Listener):
    def epoch(self, epoch):
        if epoch.stage != "dense":
            raise KeyboardInterrupt


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A run stopped after its first epoch, and the same one at its end."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("runs")
    with pytest.raises(KeyboardInterrupt):
        run(parse(RECIPE, "test"), RECIPE, folder / "a", listener=Listeners(TensorBoard(folder / "a"), Stop()))
    shutil.copytree(folder / "a", folder / "begun")
    run(parse(RECIPE, "test"), RECIPE, folder / "a", listener=TensorBoard(folder / "a"), resume=True)
    return folder


def shown(folder):
    console = Console(width=100, record=True, file=open(os.devnull, "w"))  # noqa: SIM115
    what, finished = standing(folder)
    console.print(what)
    return console.export_text(), finished


def test_a_run_at_work_shows_its_stages_and_what_is_to_come(folders):
    text, finished = shown(folders / "begun")
    assert not finished
    epoch = json.loads((folders / "begun" / "log.jsonl").read_text())
    assert "prune [x]" in text
    assert "1/2" in text
    assert "0/2" in text
    assert f"{epoch['accuracy']:.2f}" in text
    assert f"{epoch['primal']:.3f}" in text
    assert "1 epochs done, the last one" in text
    assert "to go" in text


def test_a_finished_run_shows_what_came_out(folders):
    text, finished = shown(folders / "a")
    assert finished
    result = json.loads((folders / "a" / "result.json").read_text())
    assert f"test accuracy {result['accuracy']:.2f} %" in text
    assert f"{(folders / 'a' / 'net.tight').stat().st_size:,} bytes, 4 epochs" in text
    assert text.count("2/2") == 2


def test_a_run_that_has_only_begun(tmp_path):
    (tmp_path / "recipe.toml").write_text(RECIPE)
    text, finished = shown(tmp_path)
    assert not finished
    assert "dense network is trained first" in text
    assert text.count("0/2") == 2


def test_what_is_no_run_or_a_damaged_one_is_told(tmp_path):
    with pytest.raises(RunError, match="there is no run in"):
        standing(tmp_path / "none")
    (tmp_path / "recipe.toml").write_text(RECIPE)
    (tmp_path / "log.jsonl").write_text("{")
    with pytest.raises(RunError, match=r"log\.jsonl' cannot be read"):
        standing(tmp_path)


def test_it_looks_again_until_the_run_has_ended(folders, tmp_path, monkeypatch):
    work = tmp_path / "work"
    shutil.copytree(folders / "begun", work)
    seen = []
    monkeypatch.setattr(follow, "console", Console(file=open(os.devnull, "w")))  # noqa: SIM115
    monkeypatch.setattr(follow, "standing", lambda folder: seen.append(standing(folder)) or seen[-1])

    def end():
        time.sleep(0.5)
        shutil.copy(folders / "a" / "result.json", work / "result.json")

    ending = threading.Thread(target=end)
    ending.start()
    watch(work, seconds=0.2)
    ending.join()
    assert len(seen) > 2
    assert [finished for _, finished in seen] == [False] * (len(seen) - 1) + [True]


def test_a_search_shows_its_steps_and_the_one_at_work(folders, tmp_path):
    (tmp_path / "shrink.toml").write_text("")
    step = {"name": "step-01", "kind": "prune", "kept": 1234, "bytes": 5678, "accuracy": 97.5, "passed": True}
    assert "between two steps" in shown(tmp_path)[0]
    (tmp_path / "way.json").write_text(json.dumps({"steps": [step], "best": ""}))
    shutil.copytree(folders / "begun", tmp_path / "step-02")
    # The recipe of a step is made on the way, and is no TOML file.
    (tmp_path / "step-02" / "recipe.toml").write_text("# from step-01\n[{]\n")
    text, finished = shown(tmp_path)
    assert not finished
    assert "1,234" in text
    assert "at work: step-02" in text
    assert "prune [x]" in text
    (tmp_path / "way.json").write_text(json.dumps({"steps": [step], "best": "step-01"}))
    (tmp_path / "report.html").write_text("")
    text, finished = shown(tmp_path)
    assert finished
    assert "finished: step-01" in text


def test_the_command(folders):
    done = tighten("watch", "begun", "--once", cwd=folders)
    assert done.returncode == 0, done.stderr
    assert "prune [x]" in done.stdout
    assert refused(tighten("watch", folders, "--once", cwd=folders)).startswith("error: there is no run in")


def test_tensorboard_gets_every_epoch_once(folders):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator").EventAccumulator
    events = accumulator(str(folders / "a" / "tensorboard"))
    events.Reload()
    log = [json.loads(line) for line in (folders / "a" / "log.jsonl").read_text().splitlines()]
    loss = events.Scalars("loss")
    assert [event.step for event in loss] == [1, 2, 3, 4]
    assert [event.value for event in loss] == pytest.approx([epoch["loss"] for epoch in log])
    assert [event.step for event in events.Scalars("rho")] == [1, 2]
    (site,) = [tag for tag in events.Tags()["scalars"] if tag == "primal/conv1.weight"]
    assert events.Scalars(site)[0].value == pytest.approx(log[0]["residuals"]["conv1.weight"][0])
    assert [event.step for event in events.Scalars("dense/loss")] == [1]


def test_without_tensorboard_the_way_to_it_is_told(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    with pytest.raises(RunError, match=r"pip install 'tighten\[tensorboard\]'"):
        TensorBoard(tmp_path)


def test_listeners_are_all_told():
    class Heard(Listener):
        def __init__(self):
            self.calls = []

        def stage(self, *args):
            self.calls.append(args)

        step = epoch = note = lambda self, what: self.calls.append(what)

    both = (Heard(), Heard())
    epoch = Epoch("s", 1, 2, 0.5, 90.0, 0.0, 0.0, 0.0, 1.0)
    told = Listeners(*both)
    told.stage("s", 2, 10, 0)
    told.step(0.5)
    told.epoch(epoch)
    told.note("n")
    assert both[0].calls == both[1].calls == [("s", 2, 10, 0), 0.5, epoch, "n"]
