"""The program of the guide does what the guide says."""

import re
import subprocess
from pathlib import Path

import pytest
import torch
from tests.export.c99.compiled import FLAGS, gcc

from tighten.artifact import Artifact
from tighten.data import mnist
from tighten.export import export
from tighten.export.network import Network

ROOT = Path(__file__).parents[3]
FILE = ROOT / "results" / "lenet5" / "lenet5-mnist-seed0.tight"


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    folder = tmp_path_factory.mktemp("guide")
    (text,) = re.findall(r"```c\n(.*?)```", (ROOT / "docs" / "export-c.md").read_text(encoding="utf-8"), re.DOTALL)
    (folder / "main.c").write_text(text)
    export(Artifact.open(FILE), "c99", folder / "digit.c", beside=FILE)
    gcc(*FLAGS, folder / "main.c", folder / "digit.c", "-o", folder / "main")
    return folder / "main"


def answer(program, pixels):
    picture = program.with_name("picture.pgm")
    picture.write_bytes(b"P5\n28 28\n255\n" + bytes(pixels.flatten().tolist()))
    done = subprocess.run([str(program), str(picture)], capture_output=True, text=True, check=True)
    return int(done.stdout)


def expected(pixels):
    x = ((pixels.float() / 255 - 0.1307) / 0.3081).reshape(-1, 1, 28, 28)
    return Network.of(Artifact.open(FILE)).model(x).argmax(1).tolist()


def test_drawn_pictures(program):
    pixels = torch.randint(0, 256, (4, 28, 28), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    pixels[0] = 0
    assert [answer(program, one) for one in pixels] == expected(pixels)


def test_real_digits(program, data_dir):
    test = mnist(data_dir).test
    pixels = ((test.inputs[:20] * 0.3081 + 0.1307) * 255).round().to(torch.uint8)
    found = [answer(program, one) for one in pixels]
    assert found == expected(pixels)
    assert sum(a == b for a, b in zip(found, test.targets.tolist(), strict=False)) >= 19


def test_bad_use_is_told(program, tmp_path):
    assert subprocess.run([str(program)], capture_output=True, check=False).returncode == 2
    for data in (b"P5 28 28 255\n" + bytes(100), b"P5 32 32 255\n" + bytes(1024), b"P6 28 28 255\n" + bytes(784)):
        (tmp_path / "bad.pgm").write_bytes(data)
        told = subprocess.run([str(program), str(tmp_path / "bad.pgm")], capture_output=True, check=False)
        assert told.returncode == 2
