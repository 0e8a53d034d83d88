"""Tables against a reader that does what the C code does."""

import re

import pytest
import torch

from tighten.export.c99.tables import Packed, Tables, as_bytes, gaps, number


def read_gaps(table, size):
    places, at = [], 0
    stream = iter(table)
    while True:
        gap = 0
        while (byte := next(stream)) == 255:
            gap += 255
        at += gap + byte
        if at == size:
            return places, list(stream)
        places.append(at)


@pytest.mark.parametrize("density", [0.0, 0.001, 0.01, 0.3, 1.0])
def test_gaps_lead_to_each_kept_entry_and_then_to_the_end(density):
    kept = torch.rand(3, 1021, generator=torch.Generator().manual_seed(0)) < density
    assert read_gaps(gaps(kept), kept.numel()) == (kept.flatten().nonzero().flatten().tolist(), [])


@pytest.mark.parametrize("place", [254, 255, 256, 510, 1020])
def test_gaps_around_what_a_byte_holds(place):
    kept = torch.zeros(1021, dtype=torch.bool)
    kept[place] = True
    assert read_gaps(gaps(kept), 1021) == ([place], [])


def test_bits():
    assert as_bytes(torch.tensor([1, 0, 0, 0, 0, 0, 0, 1, 0, 1])) == [0b10000001, 0b10]
    assert as_bytes(torch.tensor([True] * 8)) == [255]
    assert as_bytes(torch.tensor([], dtype=torch.bool)) == []


@pytest.mark.parametrize("levels", [1, 2, 3, 5, 8, 13, 100, 256])
def test_indices_of_a_few_bits(levels):
    draw = torch.Generator().manual_seed(levels)
    numbers = torch.randn(levels, generator=draw)[torch.randint(levels, (3001,), generator=draw)]
    packed = Packed.of(numbers)
    assert packed.bits == max(1, (levels - 1).bit_length())
    table = packed.packed_index()
    found = []
    for place in range(len(numbers)):
        at = place * packed.bits
        two = table[at >> 3] | table[(at >> 3) + 1] << 8
        found.append(two >> (at & 7) & ((1 << packed.bits) - 1))
    assert torch.equal(packed.numbers[found], numbers)
    assert packed.bytes == 4 * len(packed.numbers) + len(table)


def test_what_is_shorter_plain_stays_plain():
    assert Packed.of(torch.randn(300, generator=torch.Generator().manual_seed(0))).index is None
    assert Packed.of(torch.tensor([1.0, 2.0])).index is None
    assert Packed.of(torch.tensor([])).bytes == 0


def test_literals_are_exact():
    draw = torch.Generator().manual_seed(0)
    bits = torch.randint(-(2**31), 2**31, (2000,), generator=draw).to(torch.int32)
    values = [x for x in bits.view(torch.float32).tolist() if x == x and abs(x) != float("inf")]
    for x in [*values, 0.0, -0.0, 1.0, 1e9, 1e-45, 3.4028234663852886e38]:
        literal = number(x)
        assert re.fullmatch(r"-?\d+(\.\d+)?(e[+-]\d+)?f", literal)
        assert "." in literal or "e" in literal
        again = torch.tensor(float(literal[:-1]), dtype=torch.float64).float()
        assert again.view(torch.int32) == torch.tensor(x).view(torch.int32)


def test_equal_tables_are_written_once_and_names_never_clash():
    tables = Tables()
    one = tables.floats("a", torch.tensor([1.0, 2.0]))
    assert tables.floats("b", torch.tensor([1.0, 2.0])) == one == "a"
    other = tables.bytes_("a", [1, 2])
    assert other != one
    empty = tables.bytes_("c", [])
    text = tables.text()
    assert text.count("static const") == 3
    assert f"static const float {one}[2]" in text
    assert f"static const uint8_t {other}[2]" in text
    assert f"static const uint8_t {empty}[1]" in text  # C has no empty arrays
    assert tables.bytes == 8 + 2 + 1
