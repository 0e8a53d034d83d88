"""Artifacts: what goes into a file comes out bit for bit, and nothing else gets in."""

from __future__ import annotations

import os
import zlib
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from tighten.artifact import Artifact, load
from tighten.codecs import scalars
from tighten.codecs.stream import Writer
from tighten.codes import Code, Dense, Indexed, Sparse
from tighten.container import Parts, pack, unpack
from tighten.errors import ArtifactError


class Net(nn.Module):
    def __init__(self, width: int = 6) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, width, 3)
        self.bn = nn.BatchNorm2d(width)
        self.encoder = nn.Linear(width, 4, bias=False)
        self.decoder = nn.Linear(width, 4, bias=False)
        self.decoder.weight = self.encoder.weight


def sparse(weight: Tensor, *, kept: float = 0.3) -> Sparse:
    """A third of the entries, on four levels."""
    grid = weight.abs() > weight.abs().quantile(1 - kept)
    inner = Indexed(
        torch.zeros(int(grid.sum()), dtype=torch.uint8),
        torch.tensor([-2.0, -1.0, 1.0, 2.0]),
        torch.tensor([0.1]),
        grid.sum().reshape(1),
    )
    return Sparse(grid, (1,) * weight.dim(), inner.nearest(weight[grid]))


def compressed() -> tuple[Net, dict[str, Code]]:
    torch.manual_seed(0)
    net = Net()
    codes: dict[str, Code] = {
        name: sparse(net.get_parameter(name).detach()) for name in ("conv.weight", "encoder.weight")
    }
    with torch.no_grad():
        for name, code in codes.items():
            net.get_parameter(name).copy_(code.dense())
    return net, codes


def artifact() -> Artifact:
    net, codes = compressed()
    return Artifact.of(net.state_dict(), codes, {"model": "tests:Net"})


def assert_same(a: dict[str, Tensor], b: dict[str, Tensor]) -> None:
    assert list(a) == list(b)
    for name in a:
        assert (a[name].dtype, a[name].shape) == (b[name].dtype, b[name].shape)
        flat = [t.contiguous().reshape(-1).view(torch.uint8) for t in (a[name], b[name])]
        assert torch.equal(*flat), name


def sealed(body: bytes) -> bytes:
    return body + zlib.crc32(body).to_bytes(4, "little")


def test_a_network_comes_back_bit_for_bit(tmp_path: Path) -> None:
    net, codes = compressed()
    before = Artifact.of(net.state_dict(), codes, {"model": "tests:Net", "sets": {"a": [1, (2, 3)]}})
    before.save(tmp_path / "net.tight")
    after = Artifact.open(tmp_path / "net.tight")
    assert_same(after.state_dict(), dict(net.state_dict()))
    assert after.order == tuple(net.state_dict())
    assert after.meta == before.meta == {"model": "tests:Net", "sets": {"a": [1, [2, 3]]}}
    assert set(after.codes) == {"conv.weight", "encoder.weight"}
    assert after.to_bytes() == before.to_bytes()


def test_tied_weights_are_stored_once() -> None:
    net, codes = compressed()
    made = Artifact.of(net.state_dict(), codes, {})
    assert made.aliases == {"decoder.weight": "encoder.weight"}
    state = Artifact.from_bytes(made.to_bytes()).state_dict()
    assert state["decoder.weight"] is state["encoder.weight"]


def test_tied_weights_are_stored_where_the_code_is() -> None:
    net, codes = compressed()
    codes["decoder.weight"] = codes.pop("encoder.weight")
    made = Artifact.of(net.state_dict(), codes, {})
    assert made.aliases == {"encoder.weight": "decoder.weight"}
    assert_same(Artifact.from_bytes(made.to_bytes()).state_dict(), dict(net.state_dict()))


def test_empty_tensors_are_not_tied() -> None:
    assert Artifact.of({"a": torch.empty(0), "b": torch.empty(0)}, {}, {}).aliases == {}


@settings(deadline=None, max_examples=60)
@given(
    st.lists(
        st.tuples(
            st.text(max_size=8), st.sampled_from(scalars.DTYPES), st.lists(st.integers(0, 4), max_size=3), st.booleans()
        ),
        unique_by=lambda entry: entry[0],
        max_size=6,
    )
)
def test_any_state_comes_back(entries: list[tuple[str, torch.dtype, list[int], bool]]) -> None:
    torch.manual_seed(0)
    state = {name: (torch.randn(shape) * 3).to(of) for name, of, shape, _ in entries}
    codes: dict[str, Code] = {name: Dense(state[name]) for name, _, _, coded in entries if coded}
    made = Artifact.of(state, codes, {})
    data = made.to_bytes()
    assert_same(Artifact.from_bytes(data).state_dict(), state)
    assert sum_of_parts(made) == len(data)


def sum_of_parts(made: Artifact) -> int:
    sizes = made.sizes()
    assert sizes.total == sizes.positions + sizes.values + sizes.tables + sizes.rest + sizes.header
    for part in ("positions", "values", "tables"):
        assert sum(getattr(site, part) for site in sizes.per_site.values()) == getattr(sizes, part)
    assert set(sizes.per_site) == set(made.codes)
    return sizes.total


def test_sizes_are_the_bytes_on_disk(tmp_path: Path) -> None:
    made = artifact()
    sizes = made.save(tmp_path / "net.tight")
    assert sum_of_parts(made) == (tmp_path / "net.tight").stat().st_size == sizes.total
    assert sizes == made.sizes() == Artifact.open(tmp_path / "net.tight").sizes()
    assert all(size > 0 for size in (sizes.positions, sizes.values, sizes.tables, sizes.rest, sizes.header))


def test_a_code_that_differs_from_its_tensor_is_refused() -> None:
    net, codes = compressed()
    with torch.no_grad():
        net.conv.weight[0, 0, 0, 0] += 1
    with pytest.raises(ArtifactError, match=r"site 'conv\.weight' differs from its tensor in 1 of 54 entries"):
        Artifact.of(net.state_dict(), codes, {})


def test_the_sign_of_zero_is_a_difference() -> None:
    with pytest.raises(ArtifactError, match="in 1 of 2 entries"):
        Artifact.of({"w": torch.tensor([0.0, 1.0])}, {"w": Dense(torch.tensor([-0.0, 1.0]))}, {})


@pytest.mark.parametrize(
    ("state", "codes", "meta", "message"),
    [
        ({}, {"w": Dense(torch.ones(1))}, {}, "site 'w' has a code but no tensor"),
        ({"w": torch.ones(2)}, {"w": Dense(torch.ones(3))}, {}, r"is float32\[3\], its tensor is float32\[2\]"),
        ({"w": torch.ones(2).half()}, {"w": Dense(torch.ones(2))}, {}, r"is float32\[2\], its tensor is float16\[2\]"),
        ({"w": {"a": 1}}, {}, {}, "'w' is a dict: only plain tensors"),
        ({"w": torch.ones(2).to_sparse()}, {}, {}, "'w' is a torch.sparse_coo tensor on cpu"),
        ({"w": torch.ones(2, device="meta")}, {}, {}, "'w' is a torch.strided tensor on meta"),
        ({}, {}, {"a": float("nan")}, "meta is not JSON data"),
        ({}, {}, {"a": torch.ones(1)}, "meta is not JSON data"),
        (
            {"w": torch.ones(3)},
            {"w": Indexed(torch.zeros(3, dtype=torch.int64), torch.ones(1), torch.ones(2), torch.tensor([1, 2]))},
            {},
            "the code of site 'w' has 2 scales, which cannot share 3 entries",
        ),
    ],
)
def test_what_cannot_be_stored_is_refused(
    state: dict[str, Any], codes: dict[str, Code], meta: dict[str, Any], message: str
) -> None:
    with pytest.raises(ArtifactError, match=message):
        Artifact.of(state, codes, meta)


def test_rest_is_a_copy() -> None:
    net, codes = compressed()
    made = Artifact.of(net.state_dict(), codes, {})
    before = made.to_bytes()
    with torch.no_grad():
        net.conv.bias.add_(1)
    assert made.to_bytes() == before


# --- files


def test_a_failed_save_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "net.tight"
    path.write_bytes(b"old")

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(ArtifactError, match=r"cannot be written \(No space left on device\)"):
        artifact().save(path)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_an_unwritable_place_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="cannot be written"):
        artifact().save(tmp_path / "no such folder" / "net.tight")


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"net\.tight' cannot be read \(No such file or directory\)"):
        Artifact.open(tmp_path / "net.tight")


def test_a_checkpoint_is_foreign(tmp_path: Path) -> None:
    torch.save({"a": torch.ones(1)}, tmp_path / "net.pt")
    with pytest.raises(ArtifactError, match=r"net\.pt' is not a \.tight file"):
        Artifact.open(tmp_path / "net.pt")


def test_every_flipped_byte_is_found() -> None:
    data = artifact().to_bytes()
    for place in range(len(data)):
        for flip in (1, 0x80, 0xFF):
            damaged = bytearray(data)
            damaged[place] ^= flip
            with pytest.raises(ArtifactError):
                Artifact.from_bytes(bytes(damaged))


def test_every_truncation_is_found() -> None:
    data = artifact().to_bytes()
    for size in range(len(data)):
        with pytest.raises(ArtifactError):
            Artifact.from_bytes(data[:size])
    with pytest.raises(ArtifactError):
        Artifact.from_bytes(data + b"\0")


@given(st.binary(max_size=200))
def test_random_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(ArtifactError):
        Artifact.from_bytes(data)


# --- files made on purpose: the checksum holds


@settings(deadline=None, max_examples=100)
@given(place=st.integers(0), value=st.integers(0, 255), cut=st.integers(0, 3))
def test_a_forged_file_is_read_or_refused(place: int, value: int, cut: int) -> None:
    data = bytearray(artifact().to_bytes()[: -4 - cut])
    data[5 + place % (len(data) - 5)] = value
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tighten.container._ALLOWANCE", 2**20)
        patch.setattr("tighten.container._ALLOWANCE_PER_BYTE", 0)
        try:
            read = Artifact.from_bytes(sealed(bytes(data)))
        except ArtifactError:
            return
        assert sum(t.numel() for t in read.state_dict().values()) <= 2**20


@pytest.mark.parametrize(
    "header",
    [None, 3, "x", [], [1, 2], [["a"], []], [[1], {}], [["a", "a"], {}], [["a"], {}, 0], {"a": 1}],
)
def test_a_forged_header_is_refused(header: object) -> None:
    with pytest.raises(ArtifactError, match="is damaged: its header"):
        Artifact.from_bytes(pack(Parts(header, b"", b"")))


def test_deep_json_is_refused() -> None:
    text = b"[" * 200_000
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    header = packer.compress(text) + packer.flush()
    size = bytes([len(header) % 128 + 128, len(header) // 128])
    with pytest.raises(ArtifactError, match="is damaged: its header cannot be read"):
        Artifact.from_bytes(sealed(b"\x93TGT\x01" + size + header + b"\0"))


@pytest.mark.parametrize("sizes", [(2**40,), (2**20, 2**20), (2**16, 2**15), (2**40, 2**40)])
def test_a_tiny_file_that_claims_a_terabyte_is_refused(sizes: tuple[int, ...]) -> None:
    writer = Writer()
    writer.number(1, "kind", 2)
    scalars.dtype(writer, torch.float32)
    writer.number(len(sizes), "axes", 64)
    for size in sizes:
        writer.number(size, "size")
    with pytest.raises(ArtifactError, match=r"is damaged: .*(claims|at most)"):
        Artifact.from_bytes(pack(Parts([["w"], {}], *writer.finish())))


def test_what_no_reader_would_trust_is_not_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tighten.container._ALLOWANCE", 1000)
    monkeypatch.setattr("tighten.container._ALLOWANCE_PER_BYTE", 10)
    empty = Sparse(torch.zeros(1000, dtype=torch.bool), (1,), Dense(torch.zeros(0)))
    made = Artifact.of({"w": torch.zeros(1000)}, {"w": empty}, {})
    with pytest.raises(ArtifactError, match=r"5000 bytes of tensors .* which no reader would trust"):
        made.to_bytes()


def test_names_tied_in_a_circle_are_refused() -> None:
    writer = Writer()
    for place in (1, 0):
        writer.number(2, "kind", 2)
        writer.number(place, "alias", 1)
    with pytest.raises(ArtifactError, match="itself tied"):
        Artifact.from_bytes(pack(Parts([["a", "b"], {}], *writer.finish())))


def test_left_over_bytes_are_refused() -> None:
    parts = unpack(artifact().to_bytes())
    with pytest.raises(ArtifactError, match="1 bytes are left over"):
        Artifact.from_bytes(pack(Parts(parts.header, parts.coded, bytes(parts.raw) + b"\0")))


def test_a_table_without_levels_is_refused() -> None:
    writer = Writer()
    writer.number(0, "kind", 2)
    writer.bit(False, "sparse")
    writer.bit(True, "indexed")
    scalars.dtype(writer, torch.float32)
    for value, context, limit in ((1, "axes", 64), (3, "size", 2**40), (0, "levels", 2**16), (1, "runs", 2**40)):
        writer.number(value, context, limit)
    writer.number(0, "steps", 2)
    scalars.scalars(writer, torch.ones(1), torch.float32, (1,))
    with pytest.raises(ArtifactError, match="is damaged: has entries but an empty table"):
        Artifact.from_bytes(pack(Parts([["w"], {}], *writer.finish())))


# --- models


def test_load_fills_a_model(tmp_path: Path) -> None:
    net, codes = compressed()
    Artifact.of(net.state_dict(), codes, {}).save(tmp_path / "net.tight")
    other = Net()
    returned = load(tmp_path / "net.tight", other)
    assert_same(dict(other.state_dict()), dict(net.state_dict()))
    assert other.decoder.weight is other.encoder.weight
    assert set(returned.codes) == set(codes)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (
            Net(width=5),
            r"Net: conv\.weight is float32\[6, 1, 3, 3\] in the file and float32\[5, 1, 3, 3\] in the model",
        ),
        (nn.Sequential(Net()), r"Sequential: conv\.weight is missing in the model, .*, and 13 more"),
        (nn.ModuleDict({"conv": nn.Conv2d(1, 6, 3), "more": nn.Linear(1, 1)}), r"more\.weight is missing in the file"),
        (Net().half(), r"conv\.weight is float32\[6, 1, 3, 3\] in the file and float16\[6, 1, 3, 3\] in the model"),
    ],
)
def test_another_model_is_refused_and_untouched(tmp_path: Path, model: nn.Module, message: str) -> None:
    if isinstance(model, nn.ModuleDict):
        state = nn.ModuleDict({"conv": nn.Conv2d(1, 6, 3)}).state_dict()
        Artifact.of(state, {}, {}).save(tmp_path / "net.tight")
    else:
        artifact().save(tmp_path / "net.tight")
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(ArtifactError, match=message):
        load(tmp_path / "net.tight", model)
    assert_same(before, dict(model.state_dict()))


def test_load_decodes_one_module_after_the_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    net, codes = compressed()
    Artifact.of(net.state_dict(), codes, {}).save(tmp_path / "net.tight")
    other, parts = Net(), []
    fill = other.load_state_dict
    monkeypatch.setattr(other, "load_state_dict", lambda part, **kind: (parts.append(list(part)), fill(part, **kind)))
    load(tmp_path / "net.tight", other)
    assert [name for part in parts for name in part] == list(net.state_dict())
    assert all(len({name.rpartition(".")[0] for name in part}) == 1 for part in parts)


def test_load_of_a_part_where_that_is_asked_for(tmp_path: Path) -> None:
    net, codes = compressed()
    Artifact.of(net.state_dict(), codes, {}).save(tmp_path / "net.tight")
    part = nn.ModuleDict({"conv": nn.Conv2d(1, 6, 3), "head": nn.Linear(2, 2)})
    load(tmp_path / "net.tight", part, strict=False)
    assert torch.equal(part["conv"].weight, net.conv.weight)
