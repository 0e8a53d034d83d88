"""The committed LeNet-5 as C: equal to PyTorch on all test pictures, and small."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import torch
from tests.export.c99.compiled import FLAGS, compiled, gcc

from tighten.artifact import Artifact
from tighten.data import mnist
from tighten.export.c99 import c99
from tighten.export.network import Network

RESULTS = Path(__file__).parents[3] / "results" / "lenet5"
KINDS = {"lenet5-mnist-seed0": 12_000, "lenet5-mnist-joint-seed0": 8_000, "lenet5-mnist-binary-seed0": 64_000}
"""Files, and the bytes of code and tables that they may take."""


@pytest.fixture(scope="module", params=KINDS)
def network(request, tmp_path_factory):
    artifact = Artifact.open(RESULTS / f"{request.param}.tight")
    built = Network.of(artifact)
    path = tmp_path_factory.mktemp("c99") / f"{request.param}.c"
    lines = c99(artifact, lambda: built, path)
    return built, path, lines


@torch.no_grad()
def compare(network, x):
    built, path, _ = network
    expected = built.model(x)
    found = compiled(path, 10)(x)
    assert (found - expected).abs().max() <= 1e-5 * expected.abs().max()
    assert torch.equal(found.argmax(1), expected.argmax(1))


def test_equal_on_drawn_pictures(network):
    compare(network, torch.randn(64, 1, 28, 28, generator=torch.Generator().manual_seed(0)))


def test_equal_on_all_test_pictures(network, data_dir):
    compare(network, mnist(data_dir).test.inputs)


def test_small(network, tmp_path):
    if shutil.which("size") is None:
        pytest.skip("needs size of binutils")
    _, path, lines = network
    gcc(*FLAGS, "-c", path, "-o", tmp_path / "net.o")
    told = subprocess.run(["size", str(tmp_path / "net.o")], capture_output=True, text=True, check=True).stdout
    text, data, bss = map(int, told.splitlines()[1].split()[:3])
    assert text + data < KINDS[path.stem]
    (tables,) = [int(found.replace(",", "")) for found in re.findall(r"tables: ([\d,]+) bytes", "\n".join(lines))]
    (arena,) = [int(found.replace(",", "")) for found in re.findall(r"arena: ([\d,]+) bytes", "\n".join(lines))]
    assert tables <= text
    assert text - tables < 2_600  # code
    assert bss == arena < 16_384
    assert f"_ARENA_BYTES {arena} " in path.with_suffix(".h").read_text()


def test_dead_neurons_take_no_place(network):
    _, path, lines = network
    if "binary" in path.stem:
        assert not any("dead" in line for line in lines)
    else:
        assert re.search(r"folded away: 4\d\d dead neurons", "\n".join(lines))
        (hidden,) = re.findall(r"fc1: linear, ReLU, \d+ to (\d+);", "\n".join(lines))
        assert int(hidden) < 100
