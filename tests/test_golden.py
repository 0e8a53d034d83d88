"""Files of every format version: they load for ever, and the current version writes the same bytes again.

Never change a file in `golden/`. A changed layout is a new format version, with new files beside these.
"""

from __future__ import annotations

import json
import zlib
from pathlib import Path

import pytest
import torch
from torch import Tensor

from tighten.artifact import Artifact
from tighten.codes import Indexed, Sparse

GOLDEN = Path(__file__).parent / "golden"


def plain(tensor: Tensor) -> dict[str, object]:
    data = bytes(tensor.contiguous().reshape(-1).view(torch.uint8).tolist())
    return {"dtype": str(tensor.dtype).removeprefix("torch."), "shape": list(tensor.shape), "bytes": data.hex()}


def test_every_form_and_type_of_format_1() -> None:
    expected = json.loads((GOLDEN / "small.json").read_text(encoding="utf-8"))
    read = Artifact.open(GOLDEN / "small.tight")
    assert {name: plain(tensor) for name, tensor in read.state_dict().items()} == expected["state"]
    assert list(read.order) == list(expected["state"])
    assert read.aliases == expected["aliases"]
    assert list(read.codes) == expected["codes"]
    assert read.meta == expected["meta"]


def test_a_large_support_of_format_1() -> None:
    # 420 x 400 cells, kept where a hash is below a product of weights of row and column.
    i, j = torch.arange(420)[:, None], torch.arange(400)[None, :]
    hashed = (i * 400 + j) * 2654435761 % 2**32
    hashed = (hashed ^ hashed >> 15) * 2246822519 % 2**32
    support = (hashed ^ hashed >> 13) >> 16 < (9 + i * 37 % 101) ** 2 * (9 + j * 53 % 97) ** 2 // 8000
    index = torch.arange(int(support.sum())) * 7 % 5 % 3
    code = Artifact.open(GOLDEN / "large.tight").codes["w"]
    assert isinstance(code, Sparse)
    assert isinstance(code.inner, Indexed)
    assert torch.equal(code.grid, support)
    assert torch.equal(code.inner.index.long(), index)
    assert torch.equal(code.inner.dense(), torch.tensor([-0.25, 0.25, 0.5])[index])


@pytest.mark.parametrize(
    ("before", "name"),
    [
        ("small", "small-2"),
        ("large", "large-2"),
        *((f"{n}-2", f"{n}-3") for n in ("small", "large", "joint", "nameless")),
    ],
)
def test_formats_say_the_same(before: str, name: str) -> None:
    old, new = Artifact.open(GOLDEN / f"{before}.tight"), Artifact.open(GOLDEN / f"{name}.tight")
    assert {key: plain(value) for key, value in new.state_dict().items()} == {
        key: plain(value) for key, value in old.state_dict().items()
    }
    assert (new.order, new.aliases, new.meta, list(new.codes)) == (old.order, old.aliases, old.meta, list(old.codes))


def test_rows_that_are_alike_in_format_3() -> None:
    # Rows that are sums of three patterns.
    i, j = torch.arange(40)[:, None], torch.arange(48)[None, :]
    wave = sum(((i * a) % 7 - 3) * ((j * b) % 11 - 5) for a, b in ((3, 4), (5, 2), (2, 9)))
    places = (wave > 14).float() - (wave < -14).float()
    state = Artifact.open(GOLDEN / "alike-3.tight").state_dict()
    assert torch.equal(state["ternary"], places / 4)
    assert torch.equal(state["sparse"], places / 4)
    assert torch.equal(state["binary"], torch.where(wave > 0, 0.25, -0.25))


@pytest.mark.skipif(
    "ng" in zlib.ZLIB_RUNTIME_VERSION, reason="zlib-ng deflates to other bytes that inflate to the same"
)
@pytest.mark.parametrize("name", ["small", "large", "joint", "nameless", "alike"])
def test_the_same_bytes_are_written_again(name: str) -> None:
    data = (GOLDEN / f"{name}-3.tight").read_bytes()
    assert Artifact.from_bytes(data).to_bytes() == data
