"""The outer layer of a file."""

from __future__ import annotations

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tighten.container import MAGIC, VERSION, Parts, allowance, pack, unpack
from tighten.errors import ArtifactError

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def sealed(body: bytes) -> bytes:
    return body + zlib.crc32(body).to_bytes(4, "little")


@given(JSON, st.binary(), st.binary())
def test_parts_come_back(header: object, coded: bytes, raw: bytes) -> None:
    parts = Parts(header, coded, raw)
    assert unpack(pack(parts)) == parts


def test_long_parts_come_back() -> None:
    parts = Parts(["x" * 70_000], bytes(300), b"\xff" * 20_000)
    assert unpack(pack(parts)) == parts


def test_the_layout_is_as_documented() -> None:
    data = pack(Parts([], b"\x01\x02\x03", b"\x04"))
    size = data[5]
    assert data[:4] == b"\x93TGT"
    assert data[4] == 3
    assert data[6 + size : -4] == b"\x03\x01\x02\x03\x04"
    assert int.from_bytes(data[-4:], "little") == zlib.crc32(data[:-4])


@given(st.binary(max_size=100))
def test_other_files_are_foreign(data: bytes) -> None:
    with pytest.raises(ArtifactError, match=r"is not a \.tight file"):
        unpack(data)


def test_a_newer_format_says_upgrade() -> None:
    data = bytearray(pack(Parts([], b"", b"")))
    data[4] = VERSION + 1
    with pytest.raises(ArtifactError, match=r"newer tighten \(format 4\); this one reads up to 3: upgrade"):
        unpack(bytes(data))


def test_version_zero_is_damaged() -> None:
    data = bytearray(pack(Parts([], b"", b""))[:-4])
    data[4] = 0
    with pytest.raises(ArtifactError, match="is damaged"):
        unpack(sealed(bytes(data)))


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "a length in it has no end"),
        (b"\xff" * 20, "a length in it has no end"),
        (b"\x80\x80\x80\x80\x10", "announces 4294967296 bytes where 0 are left"),
        (b"\x02\x03\x00\xff\xff\xff\xff\x0f", "announces 4294967295 bytes where 0 are left"),
    ],
)
def test_lengths_are_checked_though_the_checksum_holds(body: bytes, message: str) -> None:
    with pytest.raises(ArtifactError, match=message):
        unpack(sealed(MAGIC + bytes([VERSION]) + body))


def test_a_header_that_would_fill_the_memory_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    data = pack(Parts("a" * 10_000, b"", b""))
    monkeypatch.setattr("tighten.container._MOST_HEADER_BYTES", 1000)
    with pytest.raises(ArtifactError, match="longer than 1000 bytes"):
        unpack(data)


def test_what_a_file_may_claim_grows_with_it() -> None:
    assert allowance(100) < 2**31
    assert allowance(2**20) > 2**34
