"""`tighten export` as a user meets it."""

import shutil

import onnxruntime
import pytest
import torch
from tests.cli.program import refused, tighten
from tests.export import nets
from tests.export.nets import LENET5, MIXED, SHAPE, Net, constrained, drawn, inputs

import tighten as tt
from tighten.artifact import Artifact
from tighten.cli.export import parse_shape
from tighten.export import FORMS

NAME = "lenet5-mnist-joint-seed0.tight"


@pytest.fixture
def folder(tmp_path):
    shutil.copy(LENET5 / NAME, tmp_path)
    return tmp_path


def test_help_names_every_form(tmp_path):
    shown = tighten("export", "--help", cwd=tmp_path).stdout
    plain = " ".join(shown.replace("│", " ").split())
    assert all(f" {form}" in plain for form in FORMS)


def test_a_shipped_network_needs_no_more_than_its_file(folder):
    done = tighten("export", NAME, "--to", "onnx-int", cwd=folder)
    assert done.returncode == 0, done.stderr
    file = folder / NAME.replace(".tight", ".int.onnx")
    assert f"{file.stat().st_size:,} bytes" in done.stdout
    assert "as INT4: 8" in done.stdout
    assert f"written: {file.name}" in done.stdout
    session = onnxruntime.InferenceSession(file)
    assert session.run(None, {"input": inputs(2, (1, 28, 28)).numpy()})[0].shape == (2, 10)


def test_a_model_of_ones_own_is_given_with_its_input(tmp_path):
    model = drawn(Net())
    constrained(model, MIXED, {"model": "mine:Net"}).save(tmp_path / "net.tight")
    shutil.copy(nets.__file__, tmp_path / "mine.py")
    command = ("export", "net.tight", "--to", "onnx", "--out", "x.onnx")
    assert "--model mine:Net" in refused(tighten(*command, "--input", "2,6,6", cwd=tmp_path))
    done = tighten(*command, "--model", "mine:Net", "--input", "2, 6,6", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    found = onnxruntime.InferenceSession(tmp_path / "x.onnx").run(None, {"input": inputs(3).numpy()})[0]
    with torch.no_grad():
        torch.testing.assert_close(torch.from_numpy(found), model(inputs(3)), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("text", ["", "3,", "3,0,4", "3,-1", "3.5", "a,b", "3 4", "³", "1" * 5000])
def test_shapes_that_are_none(text):
    with pytest.raises(tt.ArtifactError, match="--input 3,32,32"):
        parse_shape(text)


def test_shapes():
    assert parse_shape("3,32,32") == (3, 32, 32)
    assert parse_shape(" 2, 6 ,6") == SHAPE
    assert parse_shape("784") == (784,)


def test_wrong_options_end_with_one_clear_line(folder):
    assert "did you mean 'onnx'" in refused(tighten("export", NAME, "--to", "onx", cwd=folder))
    assert "choose another --out" in refused(tighten("export", NAME, "--out", NAME, cwd=folder))
    assert "3,32,32" in refused(tighten("export", NAME, "--input", "3x32x32", cwd=folder))
    assert sorted(file.name for file in folder.iterdir()) == [NAME]
    assert Artifact.open(folder / NAME).codes
