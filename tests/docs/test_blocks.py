"""Every code block of every page is run, from top to bottom, in a folder of its own."""

import contextlib
import importlib.util
import shlex
import shutil
import subprocess
import sys
import warnings

import pytest
import torch
from accelerate import Accelerator
from tests.docs.blocks import PAGES, ROOT, RUN, SHOWN, Block, blocks
from tests.docs.given import FRESH, everywhere
from tests.docs.rehearsal import rehearse, trained_resnet
from typer.testing import CliRunner

from tighten.cli.app import app
from tighten.errors import DataError, TightenError
from tighten.export import FORMS
from tighten.recipes import parse
from tighten.torchvision_ops import import_torchvision

with contextlib.suppress(DataError):
    import_torchvision()

ONLY_SHOWN = {"git", "python3", "cd", "make", "pip", "source", "tensorboard", "./main", "torchrun", "accelerate"}
"""Programs that are not started: the installation is what these tests run in, launchers have tests of their own
(tests/parallel/test_program.py), and the rest waits for people."""
HEAD = 'name = "a"\nmodel = "tighten.zoo:LeNet5"\ndata = "tighten.data:mnist"\n'
BY_PAGE = {path.relative_to(ROOT).as_posix(): blocks(path) for path in PAGES}
SLOW = [page for page, found in BY_PAGE.items() if any(block.slow for block in found)]


class Reader:
    """Someone who follows a page, in the working folder.

    Args:
        page: its name.
        data: a folder with MNIST; None where none was asked for.
    """

    def __init__(self, page, data=None):
        self.names, self.page, self.data = {"__name__": page}, page, data

    def follow(self, block: Block) -> None:
        if name := block.marks.get("file"):
            with open(name, "w", encoding="utf-8") as file:
                file.write(block.text)
            return
        for package in filter(None, [block.marks.get("needs")]):
            if importlib.util.find_spec(package) is None:
                pytest.skip(f"needs the package {package}")
        message = block.marks.get("fails")
        if message is None:
            getattr(self, block.language)(block)
            return
        with pytest.raises(TightenError) as told:
            getattr(self, block.language)(block)
        assert message in str(told.value)

    def python(self, block):
        self.names |= self._given()
        text = block.text.replace("DIR", str(self.data))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            # The line numbers of a traceback are those of the page.
            exec(compile("\n" * (block.line - 1) + text, self.page, "exec"), self.names)
        Accelerator(cpu=True).state._reset_state(reset_partial_state=True)

    def _given(self):
        """The reader's own things; made anew for each block where a page has its own loops."""
        own = FRESH.get(self.page)
        given = everywhere() | (own() if own else {})
        # What a page made itself is never taken away.
        return (
            given if self.page == "docs/training-loops.md" else {n: v for n, v in given.items() if n not in self.names}
        )

    def shell(self, block):
        for line in block.text.replace("\\\n", " ").splitlines():
            words = [word.replace("DIR", str(self.data or ".")) for word in shlex.split(line, comments=True)]
            if "&&" in words:
                words = words[: words.index("&&")]
            if words and words[0] not in ONLY_SHOWN:
                self.command(words)

    def command(self, words):
        if words[0] == "tighten":
            Accelerator(cpu=True).state._reset_state(reset_partial_state=True)
            done = CliRunner().invoke(app, words[1:], prog_name="tighten")
            if done.exception is not None and not isinstance(done.exception, SystemExit):
                raise done.exception
            assert done.exit_code == 0, done.output
        elif words[0] in ("python", "gcc"):
            if shutil.which(words[0]) is None and words[0] == "gcc":
                pytest.skip("needs gcc")
            words = [sys.executable, *words[1:]] if words[0] == "python" else words
            subprocess.run(words, check=True, timeout=300)
        else:
            pytest.fail(f"nobody runs '{words[0]}': tell these tests how")

    def toml(self, block):
        whole = block.text if "model = " in block.text else HEAD + block.text
        recipe = parse(whole, self.page)
        if recipe.stages:
            recipe.plan()


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working folder that looks like the repository to who reads there."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tighten.export.FORMS", dict(FORMS))
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "src"))
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in ("results", "examples", "benchmarks"):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / "my_model.py").write_text("from tighten.zoo import DigitsNet as build\n")
    for module in ("my_model", "my_model_data", "fibonacci"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    trained_resnet(tmp_path / "resnet20.pt")
    yield tmp_path
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def follow(reader, found, monkeypatch):
    for block in found:
        with monkeypatch.context() as patch:
            if "data" not in block.marks:
                rehearse(patch)
            if block.language in RUN:
                reader.follow(block)


@pytest.mark.parametrize("page", [page for page, found in BY_PAGE.items() if any(b.language in RUN for b in found)])
def test_the_quick_blocks_of_a_page(page, folder, monkeypatch):
    follow(Reader(page), [block for block in BY_PAGE[page] if not block.slow], monkeypatch)


@pytest.mark.slow
@pytest.mark.parametrize("page", SLOW)
def test_all_blocks_of_a_page(page, folder, monkeypatch, request):
    found = BY_PAGE[page]
    data = request.getfixturevalue("data_dir") if any("data" in block.marks for block in found) else None
    follow(Reader(page, data), found, monkeypatch)


@pytest.mark.parametrize("page", BY_PAGE)
def test_every_block_says_what_it_is(page):
    for block in BY_PAGE[page]:
        assert block.language in RUN | SHOWN, f"{page}:{block.line}: a block of '{block.language}'"
        assert set(block.marks) <= {"slow", "data", "needs", "file", "fails"}, f"{page}:{block.line}"
    for number, line in enumerate((ROOT / page).read_text(encoding="utf-8").splitlines(), 1):
        assert not line.startswith("    tighten "), f"{page}:{number}: a command that is no block of its own"
