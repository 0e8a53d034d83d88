"""Damaged and hostile files: a clear error or the exact network, never a crash, a hang or an empty machine."""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np
import pytest

from tighten.artifact import Artifact
from tighten.codecs.stream import Writer
from tighten.container import Parts, pack
from tighten.errors import ArtifactError

GOLDEN = Path(__file__).parent / "golden"
FILES = ("small.tight", "small-2.tight", "joint-2.tight", "nameless-2.tight", "joint-3.tight", "alike-3.tight")
LONGEST_MESSAGE = 1000


def opened(data: bytes) -> Artifact | None:
    try:
        return Artifact.from_bytes(data)
    except ArtifactError as error:
        said = str(error)
    assert len(said) < LONGEST_MESSAGE
    return None


def sealed(body: bytes) -> bytes:
    return body + zlib.crc32(body).to_bytes(4, "little")


def test_a_few_sealed_damages() -> None:
    sealed_damages(np.random.default_rng(1), 40)


@pytest.mark.slow
@pytest.mark.parametrize("name", FILES)
def test_flips_and_cuts_are_found_by_the_checksum(name: str) -> None:
    rng, data = np.random.default_rng(0), (GOLDEN / name).read_bytes()
    for _ in range(16_000):
        broken = bytearray(data[: rng.integers(len(data))] if rng.random() < 0.3 else data)
        if len(broken) == len(data):
            broken[rng.integers(len(data))] ^= 1 << int(rng.integers(8))
        assert opened(bytes(broken)) is None


@pytest.mark.slow
def test_sealed_damages() -> None:
    sealed_damages(np.random.default_rng(0), 3_000)


def sealed_damages(rng: np.random.Generator, cases: int) -> None:
    """Bytes changed, cut or made up, under a checksum that holds."""
    for case in range(cases):
        data = (GOLDEN / FILES[case % len(FILES)]).read_bytes()[:-4]
        body = bytearray(data[: rng.integers(5, len(data))] if rng.random() < 0.3 else data)
        for _ in range(rng.integers(1, 5)):
            body[rng.integers(5, len(body)) if len(body) > 5 else 4] = rng.integers(256)
        opened(sealed(bytes(body)))


@pytest.mark.parametrize("shape", [(0, 2**40), (2**40, 0), (2**20, 2**20, 0), (2**40,), (2**39, 2**39)])
@pytest.mark.parametrize("way", range(8))
def test_hostile_shapes(shape: tuple[int, ...], way: int) -> None:
    writer = Writer()
    writer.number(0, "kind", 2)
    writer.bit(True, "sparse")
    writer.bit(False, "indexed")
    writer.number(0, "dtype", 254)
    writer.number(len(shape), "axes", 64)
    for size in shape:
        writer.number(size, "size", 2**40)
    writer.bit(False, "blocks")
    writer.number(way, "way", 7)
    coded, raw = writer.finish()
    opened(pack(Parts([["w"], {}], coded, raw)))


@pytest.mark.slow
def test_random_streams() -> None:
    rng = np.random.default_rng(2)
    for case in range(5_000):
        coded = rng.integers(0, 256, int(rng.integers(60)), dtype=np.uint8).tobytes()
        opened(pack(Parts([["a", "b"], {}], coded, b"", 1 + case % 3)))
