"""The arena against a look at every float of it; halos."""

from itertools import pairwise

import pytest
import torch
from tests.export.c99.compiled import pruned
from torch import nn

from tighten.export.c99.lowering import lower
from tighten.export.c99.memory import arena, give_halos
from tighten.export.c99.operations import Buffer, Each, View
from tighten.folding.trace import trace
from tighten.zoo import ResNet20


def held(operations, buffers):
    """Floats whose content a later operation reads: what no plan can do without at the fullest moment."""
    most = 0
    for now in range(len(operations)):
        alive = {operations[now].out}
        for after in operations[now:]:
            alive |= {view.buffer for view in after.reads}
        written = {operation.out for operation in operations[: now + 1]}
        most = max(most, sum(buffer.floats for buffer in alive & written if buffer in buffers))
    return most


def chain(draw, count):
    """Operations that read random earlier results."""
    found = [Each("0", View.of(Buffer((5, 1, 1), "input")), Buffer((1, 1, 7)))]
    for number in range(1, count):
        source = found[int(torch.randint(max(0, number - 4), number, (), generator=draw))].out
        size = int(torch.randint(1, 60, (), generator=draw))
        found.append(Each(str(number), View.of(source), Buffer((1, 1, size))))
    found[-1].out.place = "output"
    return found


@pytest.mark.parametrize("seed", range(20))
def test_what_is_needed_at_the_same_time_never_meets(seed):
    draw = torch.Generator().manual_seed(seed)
    operations = chain(draw, 12)
    scratch = torch.randint(0, 30, (12,), generator=draw).tolist()
    buffers, own, floats = arena(operations, scratch)
    memory = [None] * floats
    for number, operation in enumerate(operations):
        for view in operation.reads:
            if view.buffer in buffers:
                start = buffers[view.buffer]
                assert all(memory[at] is view.buffer for at in range(start, start + view.buffer.floats))
        reads = {at for v in operation.reads if v.buffer in buffers for at in _places(buffers[v.buffer], v.buffer)}
        mine = set(range(own[number], own[number] + scratch[number]))
        assert not mine & reads
        for at in mine:
            memory[at] = number
        if operation.out in buffers:
            made = set(_places(buffers[operation.out], operation.out))
            assert not made & reads
            assert not made & mine
            for at in made:
                memory[at] = operation.out
    assert floats >= held(operations, buffers)


def _places(start, buffer):
    return range(start, start + buffer.floats)


def test_a_chain_takes_two_buffers():
    buffers = [Buffer((1, 1, 64)) for _ in range(5)]
    operations = [Each(str(n), View.of(a), b) for n, (a, b) in enumerate(pairwise(buffers))]
    operations[0].source.buffer.place = "input"
    _, _, floats = arena(operations, [0] * 4)
    assert floats == 128


def test_nothing_needed():
    operations = [Each("0", View.of(Buffer((3, 1, 1), "input")), Buffer((3, 1, 1), "output"))]
    assert arena(operations, [0]) == ({}, [0], 0)


def lowered(model, shape):
    traced = trace(model.eval(), (torch.zeros(1, *shape),))
    assert not isinstance(traced, str)
    operations = lower(traced, {})
    give_halos(operations)
    return operations


def test_zeros_are_stored_around_what_convolutions_read():
    model = nn.Sequential(nn.Conv2d(2, 3, 3), nn.Conv2d(3, 3, 5, padding=(2, 1)), nn.Conv2d(3, 3, 3))
    operations = lowered(model, (2, 12, 12))
    assert [operation.out.halo for operation in operations] == [(2, 2, 1, 1), (0,) * 4, (0,) * 4]
    assert operations[0].out.floats == 3 * 14 * 12


def test_what_cannot_have_zeros_around_is_copied():
    model = nn.Sequential(nn.Conv2d(2, 3, 3, padding=1), nn.Flatten())
    operations = lowered(model, (2, 6, 6))
    assert [type(operation).__name__ for operation in operations] == ["Each", "Conv"]
    assert operations[0].source.buffer.place == "input"
    assert operations[0].out.halo == (1, 1, 1, 1)


def test_shortcuts_of_resnet_need_no_sum_of_their_own():
    operations = lowered(pruned(ResNet20(), 1.0), (3, 32, 32))
    names = [type(operation).__name__ for operation in operations]
    assert (names.count("Conv"), names.count("Place"), names.count("Each"), names.count("Linear")) == (19, 2, 1, 1)
