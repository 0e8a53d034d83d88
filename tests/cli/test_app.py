"""The command line as a user meets it: real processes, good input and bad."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tests.cli.program import process, refused, tighten

import tighten as tt
from tighten.cli.progress import Progress
from tighten.verify import verify
from tighten.zoo import DigitsNet

RECIPE = """
name = "tiny"
model = "tighten.zoo:DigitsNet"
data = "tighten.data:digits"
validation = 200
augment = [{ name = "Shift", pixels = 1 }]
[dense]
epochs = 3
learning_rate = 2e-3
[[stages]]
name = "prune"
epochs = 4
learning_rate = 2e-3
method = { name = "Admm", rho = 1e-3, rho_end = 1e-1 }
budget = { rate = 10 }
sets = { "*" = { name = "Sparse" } }
distill = { temperature = 2.0, weight = 0.5 }
[[stages]]
name = "quantize"
epochs = 3
learning_rate = 2e-3
method = { name = "Admm", rho = 1e-2, rho_end = 1.0 }
sets = { "conv*" = { name = "Uniform", bits = 3, zero = false } }
[[stages]]
name = "retrain"
epochs = 3
learning_rate = 2e-3
method = { name = "Masked" }
"""


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A folder with a finished run of the small recipe in runs/a."""
    folder = tmp_path_factory.mktemp("cli")
    (folder / "tiny.toml").write_text(RECIPE)
    done = tighten("run", "tiny.toml", "--out", "runs/a", "--threads", 1, cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder, done


def test_run_ends_with_a_table_and_a_file_that_keeps_its_promises(finished):
    folder, done = finished
    run = folder / "runs" / "a"
    result = json.loads((run / "result.json").read_text())
    sizes = result["report"]["sizes"]
    assert sizes["total"] == (run / "net.tight").stat().st_size
    assert sizes["total"] == sum(sizes[part] for part in ("positions", "values", "tables", "rest", "header"))
    assert result["report"]["kept"] <= result["report"]["weights"] // 10
    assert f"{sizes['total']:,} bytes on disk" in done.stdout
    assert "test accuracy" in done.stdout
    assert "residual" in done.stdout
    log = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    assert [epoch["stage"] for epoch in log] == ["prune"] * 4 + ["quantize"] * 3 + ["retrain"] * 3
    assert log[0]["primal"] == max(primal for primal, _ in log[0]["residuals"].values())
    assert set(log[4]["residuals"]) == {"conv1.weight", "conv2.weight"}
    model = DigitsNet()
    tt.load(run / "net.tight", model)
    weights = [p for p in model.parameters() if p.ndim > 1]
    assert sum(int((w != 0).sum()) for w in weights) == result["report"]["kept"]
    assert len(model.conv1.weight.detach().unique()) <= 9


def test_inspect_says_what_an_older_file_weighs():
    old = Path(__file__).parents[1] / "golden" / "small.tight"
    shown = " ".join(tighten("inspect", old, cwd=old.parent).stdout.split())
    assert f"This file itself has {old.stat().st_size:,} bytes, in an older format" in shown
    as_json = json.loads(tighten("inspect", old, "--json", cwd=old.parent).stdout)
    assert as_json["file_bytes"] == old.stat().st_size != as_json["sizes"]["total"]


def test_inspect_and_verify_read_the_file_alone(finished):
    folder, _ = finished
    shown = tighten("inspect", "runs/a/net.tight", cwd=folder)
    assert shown.returncode == 0
    assert "conv1.weight" in shown.stdout
    bars = [line.split()[-2] for line in shown.stdout.splitlines() if line.startswith(("conv", "fc"))]
    assert len(bars) == 4
    assert any("·" not in bar for bar in bars), "the site with the most bytes fills the width"
    as_json = json.loads(tighten("inspect", "runs/a/net.tight", "--json", cwd=folder).stdout)
    assert as_json["sizes"]["total"] == (folder / "runs/a/net.tight").stat().st_size
    checked = tighten("verify", "runs/a/net.tight", "--json", cwd=folder)
    assert checked.returncode == 0, checked.stderr
    found = json.loads(checked.stdout)
    assert found["holds"]
    assert {c["what"] for c in found["checks"]} >= {"conv1.weight", "test accuracy"}


def test_verify_finds_a_broken_promise(finished):
    folder, _ = finished
    artifact = tt.Artifact.open(folder / "runs/a/net.tight")
    meta = {**artifact.meta, "sets": {**artifact.meta["sets"], "fc1.weight": {"name": "Sparse", "count": 3}}}
    tt.Artifact.of(artifact.state_dict(), artifact.codes, meta).save(folder / "lie.tight")
    checked = tighten("verify", "lie.tight", "--json", cwd=folder)
    assert checked.returncode == 1
    assert [c["what"] for c in json.loads(checked.stdout)["checks"] if not c["holds"]] == ["fc1.weight"]
    claims = {"accuracy": artifact.meta["claims"]["accuracy"] + 1.0}
    boast = {**artifact.meta, "claims": claims}
    tt.Artifact.of(artifact.state_dict(), artifact.codes, boast).save(folder / "boast.tight")
    assert tighten("verify", "boast.tight", cwd=folder).returncode == 1


def test_export_gives_every_tensor_bit_for_bit(finished):
    folder, _ = finished
    assert (
        tighten("export", "runs/a/net.tight", "--to", "safetensors", "--out", "x.safetensors", cwd=folder).returncode
        == 0
    )
    model = DigitsNet()
    tt.load(folder / "runs/a/net.tight", model)
    written = load_file(folder / "x.safetensors")
    assert list(written) == sorted(model.state_dict())
    for name, tensor in model.state_dict().items():
        assert torch.equal(written[name], tensor)
    model.load_state_dict(written)


@pytest.mark.slow
def test_a_killed_run_goes_on_and_ends_with_the_same_bytes(finished):
    folder, _ = finished
    log = folder / "runs" / "killed" / "log.jsonl"
    command = [sys.executable, "-m", "tighten", "run", "tiny.toml", "--out", "runs/killed", "--threads", "1"]
    process = subprocess.Popen(
        command, cwd=folder, env={**os.environ, "OMP_NUM_THREADS": "1"}, stdout=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and (not log.exists() or len(log.read_text().splitlines()) < 2):
        time.sleep(0.02)
    process.kill()
    process.wait()
    assert not (log.parent / "net.tight").exists(), "the run was too fast to be stopped"
    refused(tighten("run", "tiny.toml", "--out", "runs/killed", cwd=folder))
    done = tighten("run", "tiny.toml", "--out", "runs/killed", "--resume", "--threads", 1, cwd=folder)
    assert done.returncode == 0, done.stderr
    assert (log.parent / "net.tight").read_bytes() == (folder / "runs/a/net.tight").read_bytes()
    assert len(log.read_text().splitlines()) == 10


def test_interrupting_keeps_the_last_epoch_and_says_how_to_go_on(finished, monkeypatch):
    folder, _ = finished
    monkeypatch.setattr(
        Progress, "epoch", lambda self, epoch: epoch.stage == "prune" and signal.raise_signal(signal.SIGINT)
    )
    done = tighten("run", "tiny.toml", "--out", "runs/stopped", cwd=folder)
    assert done.returncode == 130
    assert "--resume" in done.stderr
    assert "Traceback" not in done.stderr
    assert (folder / "runs/stopped/checkpoint.pt").exists()


def test_recipes_are_listed(tmp_path):
    shown = tighten("recipes", cwd=tmp_path)
    assert shown.returncode == 0, shown.stderr
    assert "lenet5-mnist-joint" in shown.stdout
    assert "digits" in {r["name"] for r in json.loads(tighten("recipes", "--json", cwd=tmp_path).stdout)}


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "tiny.toml").write_text(RECIPE)
    return tmp_path


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("[dense]", "[dence]"), "did you mean 'dense'"),
        (("rate = 10", "rate = 1000000"), "weights"),
        (('"conv*"', '"convv*"'), "matches no parameter"),
        (('sets = { "*" = { name = "Sparse" } }', 'sets = { "*" = { name = "NMSparse", n = 2, m = 7 } }'), "7|open"),
        (("tighten.zoo:DigitsNet", "tighten.zoo:DigitNet"), "DigitNet"),
        (('"Shift"', '"Shft"'), "did you mean 'Shift'"),
        (("validation = 200", "validation = 100000"), "100000"),
    ],
)
def test_wrong_recipes_end_with_one_clear_line(folder, change, message):
    assert change[0] in RECIPE
    (folder / "tiny.toml").write_text(RECIPE.replace(*change))
    error = refused(tighten("run", "tiny.toml", "--out", "runs/a", cwd=folder))
    assert re.search(message, error), error
    assert not (folder / "runs").exists(), "something was trained before the mistake was found"


def test_a_loss_that_is_not_finite_stops_the_run_and_keeps_the_checkpoint(folder):
    wild = RECIPE.replace("epochs = 4\nlearning_rate = 2e-3", "epochs = 4\nlearning_rate = 1e30")
    (folder / "tiny.toml").write_text(wild)
    error = refused(tighten("run", "tiny.toml", "--out", "runs/a", "--threads", 1, cwd=folder))
    assert "learning rate" in error


def test_missing_data_names_the_folder_and_the_fix(tmp_path):
    assert "--data" in refused(process("run", "lenet5-mnist", "--out", "x", cwd=tmp_path))
    assert not (tmp_path / "x").exists()
    error = refused(tighten("run", "lenet5-mnist", "--data", "nowhere", "--out", "x", cwd=tmp_path))
    assert "nowhere" in error
    assert "--download" in error


def test_run_folders_are_not_mixed_up(finished):
    folder, _ = finished
    before = (folder / "runs/a/net.tight").read_bytes()
    assert "--resume" in refused(tighten("run", "tiny.toml", "--out", "runs/a", cwd=folder))
    assert "another recipe" in refused(tighten("run", "digits", "--out", "runs/a", "--resume", cwd=folder))
    other_seed = tighten("run", "tiny.toml", "--out", "runs/a", "--resume", "--seed", 7, cwd=folder)
    assert "seed" in refused(other_seed)
    (folder / "file").write_text("")
    assert "is a file" in refused(tighten("run", "tiny.toml", "--out", "file", cwd=folder))
    assert "not empty" in refused(tighten("run", "tiny.toml", "--out", ".", cwd=folder))
    assert (folder / "runs/a/net.tight").read_bytes() == before


def test_trained_weights_take_the_place_of_dense_training(finished):
    folder, _ = finished
    torch.save(DigitsNet().state_dict(), folder / "net.pt")
    short = RECIPE[: RECIPE.index("[[stages]]")] + RECIPE[RECIPE.index('[[stages]]\nname = "retrain"') :]
    # Without a dense table the network must be given.
    short = short.replace("[dense]\nepochs = 3\nlearning_rate = 2e-3\n", "")
    short += 'sets = { "*" = { name = "Sparse", density = 0.1 } }\n'
    (folder / "given.toml").write_text(short)
    assert "--weights" in refused(tighten("run", "given.toml", "--out", "runs/given", cwd=folder))
    command = ("run", "given.toml", "--out", "runs/given", "--threads", 1, "--weights")
    assert "none.pt" in refused(tighten(*command, "none.pt", cwd=folder))
    assert not (folder / "runs/given").exists()
    done = tighten(*command, "net.pt", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "read from net.pt" in done.stdout
    checked = tighten("verify", "runs/given/net.tight", cwd=folder)
    assert checked.returncode == 0, checked.stderr


def test_little_effort_is_a_labelled_try(finished):
    folder, _ = finished
    done = tighten("run", "tiny.toml", "--out", "runs/try", "--effort", "0.2", "--threads", 1, cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "PARTIAL RESULT: 0.2 of the recipe's epochs" in done.stdout
    facts = json.loads((folder / "runs" / "try" / "result.json").read_text())
    assert (facts["partial"], facts["epochs"], facts["dense_epochs"]) == (True, 3, 1)
    assert "trains nothing" in refused(tighten("run", "tiny.toml", "--out", "runs/none", "--effort", "0", cwd=folder))


def test_an_unwritable_output_is_told(folder):
    error = refused(tighten("run", "tiny.toml", "--out", "/proc/nowhere/run", cwd=folder))
    assert "/proc/nowhere" in error


def test_files_that_are_no_artifacts(finished):
    folder, _ = finished
    good = (folder / "runs/a/net.tight").read_bytes()
    for name, data in {
        "empty.tight": b"",
        "foreign.tight": b"PK\x03\x04" + bytes(100),
        "cut.tight": good[:-20],
        "newer.tight": good[:4] + bytes([99]) + good[5:],
        "flipped.tight": good[:60] + bytes([good[60] ^ 1]) + good[61:],
    }.items():
        (folder / name).write_bytes(data)
        for command in ("inspect", "verify", "export"):
            assert name in refused(tighten(command, name, cwd=folder))
    assert "upgrade" in refused(tighten("inspect", "newer.tight", cwd=folder))
    to_nowhere = tighten("export", "runs/a/net.tight", "--out", "/proc/nowhere/x.safetensors", cwd=folder)
    assert "/proc/nowhere" in refused(to_nowhere)
    assert "none.tight" in refused(tighten("inspect", "none.tight", cwd=folder))
    assert "'onnxx'" in refused(tighten("export", "runs/a/net.tight", "--to", "onnxx", cwd=folder))


@pytest.mark.parametrize(
    ("meta", "message"),
    [
        ({"claims": 5}, "claims"),
        ({"claims": {"accuracy": "much"}}, "claims.accuracy"),
        ({"sets": ["Sparse"]}, "sets"),
        ({"sets": {"conv1.weight": 3}}, "does not describe a set"),
        ({"sets": {"conv1.weight": {"name": "os:system"}}}, "there is no set"),
        ({}, "makes no promises"),
    ],
)
def test_files_that_say_nonsense(finished, meta, message):
    folder, _ = finished
    artifact = tt.Artifact.open(folder / "runs/a/net.tight")
    tt.Artifact.of(artifact.state_dict(), artifact.codes, meta).save(folder / "nonsense.tight")
    with pytest.raises(tt.TightenError, match=message):
        verify(folder / "nonsense.tight")


def test_code_that_a_file_names_is_not_run_by_itself(finished):
    folder, _ = finished
    (folder / "evil.py").write_text(
        "from pathlib import Path\nPath('ran').touch()\nfrom tighten.data import digits\n"
        "from tighten.zoo import DigitsNet\n"
    )
    artifact = tt.Artifact.open(folder / "runs/a/net.tight")
    meta = {**artifact.meta, "model": "evil:DigitsNet"}
    tt.Artifact.of(artifact.state_dict(), artifact.codes, meta).save(folder / "evil.tight")
    assert "--model evil:DigitsNet" in refused(tighten("verify", "evil.tight", cwd=folder))
    assert not (folder / "ran").exists()
    assert tighten("verify", "evil.tight", "--model", "evil:DigitsNet", cwd=folder).returncode == 0
    assert (folder / "ran").exists()
    (folder / "ran").unlink()
    tt.Artifact.of(artifact.state_dict(), artifact.codes, {**meta, "data": "evil:digits"}).save(folder / "evil.tight")
    assert "--model evil:DigitsNet --source evil:digits" in refused(tighten("verify", "evil.tight", cwd=folder))
    assert "--source evil:digits" in refused(tighten("verify", "evil.tight", "--model", "evil:DigitsNet", cwd=folder))
    assert not (folder / "ran").exists()
    own = ("--model", "evil:DigitsNet", "--source", "evil:digits")
    assert tighten("verify", "evil.tight", *own, cwd=folder).returncode == 0
    assert (folder / "ran").exists()
    wrong = tighten("verify", "evil.tight", "--model", "tighten.zoo:LeNet5", "--source", "evil:digits", cwd=folder)
    assert "evil.tight" in refused(wrong)
    assert Path(folder / "evil.tight").exists()
