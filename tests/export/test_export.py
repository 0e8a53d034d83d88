"""What all forms share: names, files, refusals."""

from pathlib import Path

import pytest
from tests.export.nets import mixed

import tighten as tt
from tighten.export import FORMS, export


def test_the_file_lies_beside_the_input_with_the_suffix_of_its_form(tmp_path):
    _, artifact = mixed()
    written = export(artifact, "safetensors", beside=tmp_path / "net.tight")
    assert written.path == tmp_path / "net.safetensors"
    assert written.path.exists()
    assert written.lines
    assert export(artifact, "safetensors", tmp_path / "x", beside=tmp_path / "net.tight").path == tmp_path / "x"


def test_no_two_forms_write_the_same_file():
    paths = {Path("net.tight").with_suffix(suffix) for _, suffix in FORMS.values()}
    assert len(paths) == len(FORMS)


@pytest.mark.parametrize(
    ("to", "says"), [("onxx", r"'onxx'; did you mean 'onnx'\?"), ("", "give one of"), ("C", "c99")]
)
def test_an_unknown_form_is_told_with_those_there_are(to, says, tmp_path):
    with pytest.raises(tt.ArtifactError, match=says):
        export(mixed()[1], to, beside=tmp_path / "net.tight")


def test_the_input_is_not_written_over(tmp_path):
    file = tmp_path / "net.tight"
    _, artifact = mixed()
    artifact.save(file)
    before = file.read_bytes()
    with pytest.raises(tt.ArtifactError, match=r"is the file that is exported.*--out"):
        export(artifact, "safetensors", tmp_path / "." / "net.tight", beside=file)
    assert file.read_bytes() == before


def test_a_form_that_needs_the_network_says_what_is_missing(tmp_path):
    with pytest.raises(tt.ArtifactError, match=r"does not name its model.*--model"):
        export(mixed()[1], "onnx", beside=tmp_path / "net.tight")
    assert list(tmp_path.iterdir()) == []
