"""The kernel of the ultra-sparse benchmark against PyTorch."""

import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from tighten.zoo import LeNet5

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks" / "ultra_sparse"
pytestmark = pytest.mark.skipif(shutil.which("g++") is None, reason="the kernel is compiled by g++")


@pytest.fixture(scope="module")
def parts():
    sys.path.insert(0, str(FOLDER))
    try:
        import network
        import training
    finally:
        sys.path.remove(str(FOLDER))
    random = np.random.default_rng(0)
    pictures = random.integers(0, 256, (64, 784)).astype(np.uint8)
    classes = random.integers(0, 10, 64).astype(np.uint8)
    teacher = random.normal(size=(64, 25, 10)).astype(np.float32)
    data = {"train": (pictures, classes), "test": (pictures[:50], classes[:50])}
    return network, training.Lesson(data, teacher, np.random.default_rng(1), shift=2, batch=32)


def sparse_model(seed=0):
    torch.manual_seed(seed)
    model = LeNet5()
    with torch.no_grad():
        for name, part in {"conv1": 0.3, "conv2": 0.05, "fc1": 0.02, "fc2": 0.1}.items():
            weight = model.get_parameter(f"{name}.weight")
            weight.mul_(torch.rand_like(weight) < part)
    return model


def test_folding_leaves_the_function_as_it_is(parts):
    network = parts[0]
    model = sparse_model()
    with torch.no_grad():
        model.conv1.weight[3] = 0
        model.fc2.weight[:, 7] = 0
    net = network.SparseLeNet5(model.state_dict())
    before = net.kept
    net.keep(np.ones(net.kept, bool))
    assert net.kept < before
    folded = LeNet5()
    folded.load_state_dict(net.state_dict())
    x = torch.randn(8, 1, 28, 28)
    torch.testing.assert_close(folded(x), model(x), rtol=1e-4, atol=1e-5)


def test_gradients_are_those_of_pytorch(parts):
    network, lesson = parts
    net = network.SparseLeNet5(sparse_model().state_dict())
    net.keep(np.ones(net.kept, bool))
    lesson.random = np.random.default_rng(5)
    ours = lesson.gradients(net, 32).sum(0)
    lesson.random = np.random.default_rng(5)
    order, shifts = lesson.order(32)
    model = LeNet5()
    model.load_state_dict(net.state_dict())
    x = torch.from_numpy(lesson.data["train"][0][order]).float().view(-1, 1, 28, 28) / 255
    x = F.pad((x - 0.1307) / 0.3081, (2, 2, 2, 2), value=-0.1307 / 0.3081)
    x = torch.stack([p[:, s // 5 : s // 5 + 28, s % 5 : s % 5 + 28] for p, s in zip(x, shifts, strict=True)])
    out, t = model(x), lesson.temperature
    wanted = torch.from_numpy(lesson.teacher[order, shifts])
    soft = F.kl_div(F.log_softmax(out / t, 1), F.log_softmax(wanted / t, 1), log_target=True, reduction="sum")
    hard = F.cross_entropy(out, torch.from_numpy(lesson.data["train"][1][order].astype(np.int64)), reduction="sum")
    ((1 - lesson.weight) * hard + lesson.weight * t * t * soft).backward()
    theirs = [model.get_parameter(n).grad.reshape(network.WEIGHTS[n]).numpy()[net.where[n]] for n in network.WEIGHTS]
    live = torch.cat([model.get_parameter(n).grad for n in network.BIASES[:3]])
    ends = net.kept + len(live)
    np.testing.assert_allclose(ours[: net.kept], np.concatenate(theirs), rtol=1e-3, atol=1e-3)
    fed = np.concatenate([net.masks[n].any(1) for n in list(network.WEIGHTS)[:3]])
    np.testing.assert_allclose(ours[net.kept : ends][fed], live.numpy()[fed], rtol=1e-3, atol=1e-3)


def test_an_entry_that_is_grown_starts_at_zero_and_learns(parts):
    network, lesson = parts
    net = network.SparseLeNet5(sparse_model().state_dict())
    net.keep(np.ones(net.kept, bool))
    before, accuracy = net.kept, lesson.accuracy(net, "test")
    net.grow(lesson.wishes(net, batches=2), 100)
    assert net.kept == before + 100
    assert int((net.theta[: net.kept] == 0).sum()) == 100
    assert lesson.accuracy(net, "test") == accuracy
    lesson.train(net, 2, 1e-3)
    assert int((net.theta[: net.kept] == 0).sum()) == 0


def test_training_of_levels_leaves_nothing_between_them(parts):
    network, lesson = parts
    net = network.SparseLeNet5(sparse_model().state_dict())
    net.keep(np.ones(net.kept, bool))
    before = net.state_dict()
    first = {name: float(value[value != 0].abs().min()) for name, value in before.items() if value.any()}
    net.quantize({name: first.get(name, 1.0) for name in before}, most=4)
    lesson.train(net, 2, 1e-3)
    for name, value in net.state_dict().items():
        assert torch.equal(value != 0, before[name] != 0), name
        steps = value[value != 0].abs().unique()
        assert len(steps) <= 4
        if len(steps) == 4:
            torch.testing.assert_close(steps, steps[0] * torch.arange(1.0, 5.0))
            assert float(steps[0]) != first[name], "the scale learns"


def test_loading_it_leaves_the_arithmetic_of_the_process_alone(parts):
    network, _ = parts
    network.kernel()
    assert float(np.float64(1e-308) / 4) > 0
