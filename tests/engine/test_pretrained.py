"""Trained weights from files: every format gives the same tensors, and whatever is wrong is told by name."""

import json
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import nn

import tighten as tt
from tighten.data import digits
from tighten.engine import Listener, accuracy, run
from tighten.engine.pretrained import Pretrained
from tighten.errors import RunError, TightenError
from tighten.recipes import parse
from tighten.torchvision_ops import import_torchvision
from tighten.zoo import DigitsNet

RECIPE = """
name = "tiny"
model = "tighten.zoo:DigitsNet"
data = "tighten.data:digits"
validation = 200
precision = "fp32"
[[stages]]
epochs = 1
learning_rate = 2e-3
method = { name = "Masked" }
sets = { "*" = { name = "Sparse", density = 0.5 } }
"""


class WithBatchNorm(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 3, 3)
        self.bn = nn.BatchNorm2d(3)


def written(folder, model, kind):
    """The state dict of a model in a file of this kind."""
    state = model.state_dict()
    path = folder / f"weights-{kind}"
    match kind:
        case "a.safetensors":
            safetensors.torch.save_file(state, path)
        case "a.npz":
            np.savez(path, **{name: value.numpy() for name, value in state.items()})
        case "a.pt" | "upper.PTH":
            torch.save(state, path)
        case "inner.pt":
            torch.save({"epoch": 3, "state_dict": state}, path)
        case "a.tight":
            codes = {"conv1.weight": tt.Sparse(count=state["conv1.weight"].numel()).fit(state["conv1.weight"])}
            tt.Artifact.of(state, codes, {}).save(path)
    return path


@pytest.fixture
def net():
    torch.manual_seed(5)
    return DigitsNet()


@pytest.mark.parametrize("kind", ["a.safetensors", "a.npz", "a.pt", "upper.PTH", "inner.pt", "a.tight"])
def test_every_format_gives_the_same_tensors(net, tmp_path, kind):
    torch.manual_seed(6)
    other = DigitsNet()
    Pretrained.open(written(tmp_path, net, kind)).load_into(other)
    for name, value in net.state_dict().items():
        assert torch.equal(other.state_dict()[name], value), name


def test_memory_and_type_of_the_model_stay(net, tmp_path):
    state = {name: value.double() for name, value in net.state_dict().items()}
    torch.save(state, tmp_path / "double.pt")
    other = DigitsNet().to(memory_format=torch.channels_last)
    before = dict(other.named_parameters())
    Pretrained.open(tmp_path / "double.pt").load_into(other)
    assert torch.equal(other.conv2.weight, net.conv2.weight)
    assert other.conv2.weight is before["conv2.weight"]
    assert other.conv2.weight.dtype == torch.float32
    assert other.conv2.weight.is_contiguous(memory_format=torch.channels_last)


def test_only_the_batch_counter_may_be_missing(tmp_path):
    state = WithBatchNorm().state_dict()
    del state["bn.num_batches_tracked"]
    torch.save(state, tmp_path / "a.pt")
    Pretrained.open(tmp_path / "a.pt").load_into(WithBatchNorm())
    del state["bn.running_var"]
    torch.save(state, tmp_path / "a.pt")
    with pytest.raises(RunError, match=r"'bn\.running_var' is missing"):
        Pretrained.open(tmp_path / "a.pt").load_into(WithBatchNorm())


def renamed(state, old, new):
    return {new if name == old else name: value for name, value in state.items()}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: renamed(s, "conv1.bias", "conv1.offset"), "'conv1.bias' is missing, 'conv1.offset' is unexpected"),
        (lambda s: {**s, "conv1.bias": torch.zeros(3)}, r"'conv1.bias' is float32\[3\], the model wants float32\["),
        (lambda s: {**s, "conv1.bias": s["conv1.bias"].long()}, r"'conv1.bias' is int64\["),
        (lambda s: {**s, "conv1.bias": s["conv1.bias"] / 0}, "'conv1.bias' holds NaN or infinite values"),
        (lambda s: {**s, "conv1.bias": torch.full_like(s["conv1.bias"].double(), 1e300)}, "infinite"),
        (lambda s: {f"module.{n}": v for n, v in s.items()}, r"and \d+ more; .*save net\.module\.state_dict\(\)"),
    ],
)
def test_weights_of_another_model_are_told_by_name(net, tmp_path, change, message):
    torch.save(change({name: value + 1 for name, value in net.state_dict().items()}), tmp_path / "a.pt")
    before = {name: value.clone() for name, value in net.state_dict().items()}
    with pytest.raises(RunError, match=message) as caught:
        Pretrained.open(tmp_path / "a.pt").load_into(net)
    assert "a.pt" in str(caught.value)
    assert all(torch.equal(net.state_dict()[name], value) for name, value in before.items())


class Evil:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


def test_nothing_in_a_file_is_executed(tmp_path):
    torch.save({"a": Evil(tmp_path / "ran")}, tmp_path / "a.pt")
    np.savez(tmp_path / "a.npz", a=np.array([Evil(tmp_path / "ran")], dtype=object))
    for name in ("a.pt", "a.npz"):
        with pytest.raises(RunError, match=name):
            Pretrained.open(tmp_path / name)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("kind", ["a.safetensors", "a.npz", "a.pt", "a.tight"])
@pytest.mark.parametrize("damage", ["empty", "foreign", "cut"])
def test_damaged_files_are_told(net, tmp_path, kind, damage):
    path = written(tmp_path, net, kind)
    good = path.read_bytes()
    path.write_bytes({"empty": b"", "foreign": b"something else" * 50, "cut": good[: len(good) // 2]}[damage])
    with pytest.raises(TightenError, match=kind) as caught:
        Pretrained.open(path)
    assert "allow_pickle" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([1], "a list, not a state dict"),
        ({"a": 1}, "an? int under 'a'"),
        ({"state_dict": {"a": [1]}}, "list under 'a'"),
    ],
)
def test_other_things_in_a_pt_file_are_told(tmp_path, content, message):
    torch.save(content, tmp_path / "a.pt")
    with pytest.raises(RunError, match=message):
        Pretrained.open(tmp_path / "a.pt")


def test_missing_files_and_unknown_kinds_are_told(tmp_path):
    with pytest.raises(RunError, match=r"none\.pt.*--weights"):
        Pretrained.open(tmp_path / "none.pt")
    (tmp_path / "net.onnx").write_bytes(b"")
    with pytest.raises(RunError, match=r"net\.onnx.*\.safetensors, \.npz"):
        Pretrained.open(tmp_path / "net.onnx")


class Notes(Listener):
    def __init__(self):
        self.notes, self.stages = [], []

    def stage(self, name, epochs, steps_per_epoch, done):
        self.stages.append(name)

    def note(self, text):
        self.notes.append(text)


def test_a_run_from_weights_trains_no_dense_network_and_belongs_to_them(net, tmp_path):
    torch.set_num_threads(1)
    text = RECIPE.replace('precision = "fp32"', 'precision = "bf16"')
    recipe, weights = parse(text, "test"), written(tmp_path, net, "a.npz")
    out, notes = tmp_path / "runs" / "a", Notes()
    result = run(recipe, text, out, weights=weights, listener=notes)
    assert notes.stages == ["masked"]
    assert "weights-a.npz: validation" in notes.notes[0]
    assert not (out.parent / ".dense").exists()
    found = json.loads((out / "result.json").read_text())
    assert (found["dense_epochs"], found["precision"]) == (0, "bf16")
    assert result.dense_accuracy == accuracy(net, digits().test)
    assert {site.kept / site.weights for site in result.report.sites} == {0.5}
    again = run(recipe, text, out, weights=weights, resume=True)
    assert again.file.read_bytes() == result.file.read_bytes()
    other = written(tmp_path, DigitsNet(), "a.pt")
    with pytest.raises(RunError, match="trained network"):
        run(recipe, text, out, weights=other, resume=True)


def test_weights_win_over_what_the_recipe_says(net, tmp_path):
    recipe = parse(f'{RECIPE}[dense]\nweights = "{tmp_path / "none.pt"}"\n', "test")
    with pytest.raises(RunError, match=r"none\.pt"):
        run(recipe, RECIPE, tmp_path / "a")
    assert not (tmp_path / "a").exists()
    wrong = written(tmp_path, WithBatchNorm(), "a.pt")
    with pytest.raises(RunError, match="do not fit DigitsNet"):
        run(recipe, RECIPE, tmp_path / "a", weights=wrong)
    assert not (tmp_path / "a").exists()
    run(recipe, RECIPE, tmp_path / "a", weights=written(tmp_path, net, "a.safetensors"))


def test_the_given_resnet20_fits_the_zoo(pretrained_dir):
    from tighten.zoo import ResNet20

    net = ResNet20()
    Pretrained.open(pretrained_dir / "cifar10_resnet20.npz").load_into(net)
    assert float(net.bn1.running_var.std()) > 0.1


def test_published_weights_are_named_by_import_path(monkeypatch, tmp_path):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    name = "torchvision.models:SqueezeNet1_1_Weights.IMAGENET1K_V1"
    models = import_torchvision().models
    torch.manual_seed(3)
    wanted = models.squeezenet1_1().state_dict()
    kind = type(models.SqueezeNet1_1_Weights.IMAGENET1K_V1)
    monkeypatch.setattr(kind, "get_state_dict", lambda self, **settings: wanted)
    model = models.squeezenet1_1()
    Pretrained.open(Path(name)).load_into(model)
    assert all(torch.equal(value, wanted[key]) for key, value in model.state_dict().items())

    def unreachable(self, **settings):
        raise OSError("no network")

    monkeypatch.setattr(kind, "get_state_dict", unreachable)
    with pytest.raises(RunError, match=r"cannot be had \(no network\): give a file of them with --weights FILE"):
        Pretrained.open(Path(name))
