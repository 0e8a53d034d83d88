"""The side-by-side benchmark on data small enough to watch: same lesson for all, honest counts, runs kept."""

import importlib
import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from tighten.artifact import Artifact
from tighten.codes import Dense, Indexed
from tighten.data import ImageData, TensorData
from tighten.zoo import LeNet5

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks" / "rivals"
NAMES = ("environments", "lesson", "plan", "run", "score", "shares", "start", "table", "worker")
WEIGHTS = 430_500


@pytest.fixture(scope="module")
def parts():
    """The modules of the benchmark by name."""
    sys.path[:0] = [str(FOLDER), str(FOLDER.parent)]
    return SimpleNamespace(**{name: importlib.import_module(name) for name in NAMES})


@pytest.fixture(scope="module")
def begun(parts):
    """A start with noise for pictures."""
    torch.manual_seed(0)
    net = LeNet5().eval()
    pictures = torch.randint(0, 256, (40, 32, 32), dtype=torch.uint8)
    return {
        "pictures": pictures,
        "targets": torch.arange(40) % 10,
        "outputs": torch.stack(list(parts.start.outputs(net, pictures, "fp32")), dim=1),
        "dense": net.state_dict(),
        "mean": parts.start.MEAN,
        "std": parts.start.STD,
        "pixels": 2,
        "batch_size": 16,
        "precision": "fp32",
    }


def lesson_of(parts, begun, seed=0, epochs=4):
    return parts.lesson.Lesson(begun, epochs, seed, "fp32", 4.0, 0.9)


def rival_named(parts, name):
    return next(rival for rival in parts.plan.RIVALS if rival.name == name)


def test_what_the_dense_network_said_belongs_to_the_shifted_picture(parts, begun):
    lesson = lesson_of(parts, begun)
    net = lesson.network().eval()
    seen = 0
    for inputs, (classes, wanted) in lesson.batches(torch.Generator().manual_seed(3)):
        with torch.no_grad():
            torch.testing.assert_close(net(inputs), wanted, atol=2e-3, rtol=2e-3)
        seen += len(classes)
    assert seen == 40


def test_order_and_shifts_are_those_of_the_seed_whatever_a_method_does(parts, begun):
    def inputs_of(seed, chance):
        lesson, seen = lesson_of(parts, begun, seed, epochs=2), []
        model = lesson.network()
        model.register_forward_pre_hook(lambda _, given: seen.append(given[0].clone()))
        for _ in range(2):
            torch.rand(chance)
            lesson.epoch(model, torch.optim.SGD(model.parameters(), lr=0.0))
        return torch.cat(seen)

    assert torch.equal(inputs_of(1, 0), inputs_of(1, 5))
    assert not torch.equal(inputs_of(1, 0), inputs_of(2, 0))


def test_no_method_gets_more_epochs(parts, begun):
    lesson = lesson_of(parts, begun, epochs=1)
    model = lesson.network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    lesson.epoch(model, optimizer)
    with pytest.raises(SystemExit, match="more than 1 epochs"):
        lesson.epoch(model, optimizer)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("tighten", "pruned"),
        pytest.param("tighten", "binary", marks=pytest.mark.slow),
        pytest.param("tighten", "ternary", marks=pytest.mark.slow),
        ("magnitude-global", "pruned"),
        ("magnitude-global", "joint"),
        pytest.param("magnitude-layers", "pruned", marks=pytest.mark.slow),
        ("gradual-lamp", "pruned"),
        pytest.param("straight-through", "binary", marks=pytest.mark.slow),
        ("straight-through", "ternary"),
    ],
)
def test_rivals_end_where_they_should(parts, begun, tmp_path, name, kind):
    rival = rival_named(parts, name)
    torch.save(begun, tmp_path / "start.pt")
    rate = {"pruned": 50, "joint": 20}.get(kind, 1)
    task = parts.plan.Task(rival, parts.plan.Row(kind, rate), epochs=4)
    threads = torch.get_num_threads()
    found = parts.worker.carry_out(task.to_data(tmp_path / "start.pt", threads))
    weights = {name: w for name, w in found["state"].items() if w.ndim > 1}
    kept = sum(int(w.count_nonzero()) for w in weights.values())
    if kind == "pruned":
        assert WEIGHTS // rate - len(weights) <= kept <= WEIGHTS // rate
    elif kind == "joint":
        assert kept <= WEIGHTS // rate
        assert all(len(w.unique()) <= 16 for w in weights.values())
    else:
        assert all(len(w.unique()) <= {"binary": 2, "ternary": 3}[kind] for w in weights.values())
    assert len(found["facts"]["losses"]) == 4
    assert found["facts"]["epoch_seconds"] > 0


def test_a_setting_of_ours_uses_all_epochs(parts):
    for setting in rival_named(parts, "tighten").settings["pruned"]:
        assert sum(setting["parts"]) % parts.plan.EPOCHS == 0


def per_channel(x, levels):
    scale = x.abs().flatten(1).amax(1).view(-1, 1, 1)
    return (x / scale * levels).round() / levels * scale


@pytest.mark.parametrize(
    ("kind", "change", "levels"),
    [
        ("binary", lambda x: x.sign() * 0.25, 2),
        ("binary", lambda x: x.sign() * x.abs().mean((1, 2), keepdim=True), 2),
        ("ternary", lambda x: per_channel(x, 1), 2),
        ("joint", lambda x: (x * 4).round() / 8 * (x.abs() > 0.5), None),
        ("joint", lambda x: per_channel(x, 1), 2),
        ("joint", lambda x: per_channel(x, 127), None),
        ("joint", lambda x: per_channel(x, 127) * (torch.arange(6).view(6, 1, 1) != 2), None),
        ("pruned", lambda x: x * (x.abs() > 1), None),
    ],
)
def test_levels_are_found_wherever_they_are(parts, kind, change, levels):
    weight = change(torch.randn(6, 7, 9, generator=torch.Generator().manual_seed(0))) + 0
    code = parts.score.code_of(weight, kind)
    torch.testing.assert_close(code.dense(), weight, rtol=1e-6, atol=0)
    assert Artifact.of({"w": code.dense()}, {"w": code}, {}).to_bytes()
    if levels is not None:
        assert parts.score.levels(weight) == levels
        inner = getattr(code, "inner", code)
        assert len(inner.steps) == 2
    inner = getattr(code, "inner", code)
    assert isinstance(inner, Dense if kind == "pruned" else Indexed)


def test_scores_count_what_is_there(parts):
    made = torch.Generator().manual_seed(3)
    sets = [TensorData(torch.randn(n, 1, 28, 28, generator=made), torch.arange(n) % 10) for n in (10, 20, 30)]
    state = {name: t * (t.abs() > 0.035) if t.ndim > 1 else t for name, t in LeNet5().state_dict().items()}
    found = parts.score.score(state, "pruned", ImageData(*sets, classes=10, fill=0.0))
    assert found["kept"] == sum(int(t.count_nonzero()) for t in state.values() if t.ndim > 1)
    assert found["biases"] == 580
    assert 4 * found["kept"] < found["weight_bytes"]["zlib"] < found["file_bytes"] * 1.5
    assert found["weight_bytes"]["ours"] < found["file_bytes"]


def test_settings_are_chosen_by_validation_before_they_are_used(parts):
    rivals = [rival_named(parts, name) for name in ("tighten", "gradual-lamp", "straight-through")]
    choice, seen = parts.plan.Choice(), []
    for task in parts.plan.tasks(rivals, choice, epochs=20):
        best = {"gradual-lamp": 1, "straight-through": 1}.get(task.rival.name, 2 if task.row.kind == "pruned" else 0)
        choice.hear(task, 99.0 if task.setting == best else 98.0)
        seen.append(task)
    first = [task.name for task in seen[:4]]
    assert first == [
        "246x-tighten-seed0",
        "246x-gradual-lamp-seed0",
        "binary-tighten-seed0",
        "binary-straight-through-seed0",
    ]
    tuned = (parts.plan.PRUNED, parts.plan.BINARY)
    tried = [(t.row.name, t.rival.name, t.setting) for t in seen if t.row in tuned and not t.seed]
    assert {len({n for row, name, n in tried if name == "tighten" and row == at}) for at in ("246x", "binary")} == {3}
    later = {(t.row.kind, t.rival.name, t.setting) for t in seen if t.row not in tuned or t.seed}
    assert later == {
        ("pruned", "tighten", 2),
        ("pruned", "gradual-lamp", 1),
        ("binary", "tighten", 0),
        ("binary", "straight-through", 1),
        ("ternary", "tighten", 0),
        ("ternary", "straight-through", 1),
        ("joint", "tighten", 0),
    }


def facts(rival, seed, accuracy, **more):
    return {
        "rival": rival,
        "row": "246x",
        "seed": seed,
        "setting": {},
        "epochs": 20,
        "quick": False,
        "versions": {"torch": "0"},
        "accuracy": accuracy,
        "validation_accuracy": accuracy,
        "kept": 1750,
        "rate": 246.0,
        "weight_bytes": {"ours": 10, "zlib": 20},
        "file_bytes": 30,
        "epoch_seconds": 3.0,
        "plain_epoch_seconds": 2.0,
        "memory_mb": 40,
        **more,
    }


def test_tables_hold_every_seed_and_every_failure(parts, tmp_path):
    dense = {"accuracy": 99.5, "validation_accuracy": 99.1, "precision": "bf16", "quick": False}
    results = {
        parts.table.DENSE.removesuffix(".json"): dense,
        "246x-tighten-seed0": facts("tighten", 0, 99.0),
        "246x-tighten-seed1": facts("tighten", 1, 99.2),
        "246x-gradual-lamp-seed0": facts("gradual-lamp", 0, 99.3),
        "246x-nni-admm-seed0": {"epochs": 20, "error": "the loss is nan"},
    }
    for name, found in results.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(found))
    text = parts.table.write(tmp_path)
    assert "Incomplete: 4 of" in text  # what failed was tried
    assert "- 246x: gradual magnitude, global LAMP is 0.20 points ahead" in text
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    assert "gradual" in lines[1]
    assert "**99.10** ± 0.14 | 2 |" in lines[2]
    assert "- `246x-nni-admm-seed0`: the loss is nan" in text
    rows = json.loads((tmp_path / parts.table.TABLE).read_text())["rows"]
    assert [(row["rival"], row["seeds"], row["cost"]) for row in rows] == [
        ("tighten", [0, 1], 1.5),
        ("gradual-lamp", [0], 1.5),
    ]


def test_finished_runs_are_kept_and_failures_told(parts, monkeypatch, tmp_path, capsys):
    args = SimpleNamespace(results=tmp_path, start=tmp_path / "start.pt", threads=1, quick=False)
    task, answers = parts.plan.Task(rival_named(parts, "tighten"), parts.plan.PRUNED), []

    def trained(*_):
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(parts.run, "trained", trained)
    answers += [subprocess.CalledProcessError(1, "python", stderr="warning\nit broke\n"), facts("tighten", 0, 99.0)]
    assert parts.run.carry_out(task, None, args)["error"] == "it broke"
    for _ in range(2):  # the second time nothing is trained
        assert parts.run.carry_out(task, None, args)["accuracy"] == 99.0
    assert "it broke" in capsys.readouterr().out


def test_environments_are_made_once_from_pinned_packages(parts, monkeypatch, tmp_path):
    called = []
    monkeypatch.setattr(parts.environments.venv, "create", lambda path, **_: path.mkdir(parents=True))
    monkeypatch.setattr(parts.environments.subprocess, "run", lambda command, **_: called.append(command))
    for _ in range(2):
        for name in parts.environments.PACKAGES:
            python = parts.environments.python_of(name, tmp_path)
            assert python == tmp_path / name / "bin" / "python"
    assert len(called) == sum(map(len, parts.environments.PACKAGES.values()))
    assert all("-c" in command for command in called)
    assert (tmp_path / "torch.txt").read_text() == "torch==2.13.0\n"
    named = {rival.environment for rival in parts.plan.RIVALS} - {None}
    assert named <= set(parts.environments.PACKAGES)


@pytest.mark.parametrize("rate", [150, 246, 400])
def test_given_shares_keep_as_many_as_the_row_asks_for(parts, rate):
    kept = parts.shares.shared(rate)
    assert sum(kept.values()) == WEIGHTS // rate
    assert all(kept.values())


@pytest.mark.slow
def test_the_quick_version_from_the_command_line(data_dir, tmp_path):
    rivals = ["tighten", "magnitude-global", "magnitude-layers", "gradual-lamp", "straight-through"]
    command = [sys.executable, str(FOLDER / "run.py"), "--data", str(data_dir), "--quick", "--runs", str(tmp_path)]
    done = subprocess.run([*command, "--only", *rivals], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    text = (tmp_path / "results" / "README.md").read_text()
    assert "A quick try" in text
    assert "What did not run" not in text
    rows = json.loads((tmp_path / "results" / "table.json").read_text())["rows"]
    assert {row["rival"] for row in rows} == set(rivals)
