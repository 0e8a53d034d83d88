"""The guide, followed word by word."""

import contextlib
import re
import shlex
from pathlib import Path

import pytest
from tests.cli.test_app import tighten

import tighten as tt
from tighten.export import FORMS
from tighten.torchvision_ops import import_torchvision

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "export.md").read_text(encoding="utf-8")


def test_every_form_is_in_the_table():
    assert sorted(re.findall(r"^\| `([\w-]+)` \|", TEXT, re.MULTILINE)) == sorted(FORMS)


@pytest.mark.slow
def test_commands_and_code_work(data_dir, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "results").symlink_to(ROOT / "results")
    pytest.importorskip("torchao")
    with contextlib.suppress(tt.DataError):
        import_torchvision()
    pytest.importorskip("compressed_tensors")
    for command in re.findall(r"^```\n(tighten export .*)\n```", TEXT, re.MULTILINE):
        done = tighten(*shlex.split(command)[1:], cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    said = []
    for block in re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL):
        exec(compile(block.replace("DIR", str(data_dir)), "docs/export.md", "exec"), {})
        said.append(capsys.readouterr().out)
    promised = re.search(r"mean\(\)\) +# (0\.\d+)", TEXT)[1]
    assert float(said[0]) == pytest.approx(float(promised), abs=5e-4)
    assert "bit for bit" in said[-1]
