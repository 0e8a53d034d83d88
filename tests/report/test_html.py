"""Reports of real runs: whole pages that need nothing beside themselves."""

import json
import re
import shutil
import subprocess
from html.parser import HTMLParser

import pytest
import torch

from tighten.cli.report import report
from tighten.engine import run
from tighten.errors import RunError
from tighten.recipes import parse
from tighten.report.comparison import compare
from tighten.report.curves import legs
from tighten.report.html import write_report

NAME = "<script>alert(1)</script> & co"
RECIPE = f"""
name = "{NAME}"
model = "tighten.zoo:DigitsNet"
data = "tighten.data:digits"
validation = 200
[dense]
epochs = 1
learning_rate = 2e-3
[[stages]]
name = "prune"
epochs = 2
learning_rate = 2e-3
method = {{ name = "Admm", rho = 1e-2, rho_end = 1e-1 }}
budget = {{ rate = 10 }}
sets = {{ "*" = {{ name = "Sparse" }} }}
"""
SECTIONS = {"headline", "path", "training", "residuals", "layers", "supports", "histograms", "provenance"}
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--dump-dom")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


class Page(HTMLParser):
    """What a page is made of: its sections, what it loads, its words."""

    def __init__(self, text):
        super().__init__()
        self.ids, self.loads, self.tags, self.words = set(), [], [], ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        for key, value in attrs:
            if key == "id":
                self.ids.add(value)
            if key in ("src", "href", "xlink:href", "data", "action"):
                self.loads.append(value or "")

    def handle_data(self, data):
        self.words += data


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    torch.set_num_threads(1)
    out = tmp_path_factory.mktemp("report") / "run"
    run(parse(RECIPE, "test"), RECIPE, out)
    return out


def test_a_run_leaves_a_whole_page(folder):
    text = (folder / "report.html").read_text()
    page = Page(text)
    assert page.ids >= SECTIONS
    assert all(load.startswith(("#", "data:")) for load in page.loads)
    assert all(url.startswith(("#", "data:")) for url in re.findall(r"url\(['\"]?([^)]*)", text))
    assert "script" not in page.tags
    assert NAME in page.words  # escaped, so it is words and no tag
    assert len(text) < 2_000_000
    kept = sum(site["kept"] for site in json.loads((folder / "result.json").read_text())["report"]["sites"])
    assert f"{kept:,}" in page.words


def test_it_can_be_drawn_again_and_says_the_same(folder):
    before = (folder / "report.html").read_bytes()
    (folder / "report.html").unlink()
    assert write_report(folder) == folder / "report.html"
    assert (folder / "report.html").read_bytes() == before


def test_two_runs_on_one_page(folder, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(folder, other)
    page = Page(compare([folder, other], tmp_path / "both.html").read_text())
    assert "other" in page.words
    assert all(load.startswith(("#", "data:")) for load in page.loads)


@pytest.mark.parametrize("damage", ["missing", "empty", "result"])
def test_what_is_no_run_ends_with_one_line(folder, tmp_path, damage):
    other = tmp_path / "other"
    if damage == "empty":
        other.mkdir()
    elif damage == "result":
        shutil.copytree(folder, other)
        (other / "result.json").write_text("{")
    with pytest.raises(RunError, match="other") as error:
        write_report(other)
    assert "\n" not in str(error.value)


def test_a_history_of_nothing_has_no_legs():
    assert legs([]) == []


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium on the PATH")
def test_a_browser_draws_it_without_a_word(folder):
    done = subprocess.run(
        [CHROMIUM, *FLAGS, f"file://{folder / 'report.html'}"],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert Page(done.stdout).ids >= SECTIONS
    assert "CONSOLE" not in done.stderr


def test_the_command_draws_one_or_several(folder, tmp_path, capsys):
    report([folder], None)
    report([folder, folder], tmp_path / "both.html")
    printed = capsys.readouterr().out
    assert "report.html" in printed
    assert "both.html" in printed
    assert (tmp_path / "both.html").stat().st_size > 1000
