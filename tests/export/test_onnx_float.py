"""ONNX graphs, used by onnxruntime."""

import sys

import onnx
import onnxruntime
import pytest
import torch
from onnx import numpy_helper
from tests.export.nets import LENET5, SHAPE, Net, constrained, drawn, inputs, mixed, network_of
from torch import nn

import tighten as tt
from tighten.artifact import Artifact
from tighten.data import mnist
from tighten.export import Network
from tighten.export.onnx_float import onnx_float
from tighten.export.onnx_graph import weight_lines


def run(path, x):
    """The outputs of a file, computed by onnxruntime."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (name,) = [one.name for one in session.get_inputs()]
    return torch.from_numpy(session.run(None, {name: x.numpy()})[0])


def accuracy(path, data):
    return 100 * float((run(path, data.inputs).argmax(1) == data.targets).float().mean())


def initializers(path):
    return {init.name: numpy_helper.to_array(init) for init in onnx.load(path).graph.initializer}


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    model, artifact = mixed()
    path = tmp_path_factory.mktemp("onnx") / "net.onnx"
    return model, artifact, path, onnx_float(artifact, network_of(model, artifact), path)


@pytest.mark.parametrize("count", [1, 2, 9])
def test_outputs_are_those_of_the_model(written, count):
    model, _, path, _ = written
    with torch.no_grad():
        torch.testing.assert_close(run(path, inputs(count)), model(inputs(count)), rtol=1e-5, atol=1e-5)


def test_every_tensor_is_in_the_file_bit_for_bit(written):
    _, artifact, path, lines = written
    found = initializers(path)
    state = artifact.state_dict()
    used = [name for name in state if name != "norm.num_batches_tracked"]
    for name in used:
        assert found[name].tobytes() == state[name].numpy().tobytes(), name
    assert f"{len(used)} of {len(state)} tensors are in the graph, bit for bit" in lines
    assert "not needed by the graph: norm.num_batches_tracked" in lines
    assert any(line.startswith(f"{path.stat().st_size:,} bytes") for line in lines)


def test_the_graph_stays_readable(written):
    _, _, path, _ = written
    graph = onnx.load(path).graph
    assert [one.name for one in graph.input] == ["input"]
    assert [one.name for one in graph.output] == ["output"]
    assert [d.dim_param or d.dim_value for d in graph.input[0].type.tensor_type.shape.dim] == ["batch", *SHAPE]
    kinds = [node.op_type for node in graph.node]
    assert kinds.count("Conv") == kinds.count("Gemm") == 2
    assert "BatchNormalization" in kinds
    # No traces of the machine: the exporter notes lines of source code.
    assert b"/nets.py" not in path.read_bytes()


def test_writing_twice_gives_the_same_bytes(written, tmp_path):
    model, artifact, path, _ = written
    onnx_float(artifact, network_of(model, artifact), tmp_path / "again.onnx")
    assert (tmp_path / "again.onnx").read_bytes() == path.read_bytes()


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.one, self.other = nn.Linear(4, 4), nn.Linear(4, 4)
        self.other.weight = self.one.weight

    def forward(self, x):
        return self.other(torch.relu(self.one(x))), x.sum(1)


def test_tied_tensors_and_two_outputs(tmp_path):
    model = drawn(Tied())
    artifact = constrained(model, {"one.weight": tt.Ternary()})
    lines = onnx_float(artifact, network_of(model, artifact, (4,)), tmp_path / "tied.onnx")
    assert "4 of 4 tensors are in the graph, bit for bit" in lines
    x = inputs(3, (4,))
    found = onnxruntime.InferenceSession(tmp_path / "tied.onnx").run(None, {"input": x.numpy()})
    for one, other in zip(model(x), found, strict=True):
        torch.testing.assert_close(one.detach(), torch.from_numpy(other))


def test_lenet5_keeps_its_accuracy(data_dir, tmp_path):
    artifact = Artifact.open(LENET5 / "lenet5-mnist-seed0.tight")
    onnx_float(artifact, lambda: Network.of(artifact), tmp_path / "net.onnx")
    found = accuracy(tmp_path / "net.onnx", mnist(data_dir).test)
    assert found == pytest.approx(artifact.meta["claims"]["accuracy"], abs=0.02)


def test_a_tensor_that_is_like_another_one_by_chance_is_not_in_the_graph(tmp_path):
    model = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4)).eval()  # running mean and bias are both zero
    model.register_buffer("idle", torch.zeros(4))
    artifact = constrained(model, {})
    lines = onnx_float(artifact, network_of(model, artifact, (4,)), tmp_path / "net.onnx")
    assert "6 of 8 tensors are in the graph, bit for bit" in lines
    assert "not needed by the graph: idle, 1.num_batches_tracked" in lines


class Branches(nn.Module):
    def forward(self, x):
        return x if x.sum() > 0 else -x


class Fixed(nn.Module):
    def forward(self, x):
        return x.reshape(len(x), -1) if len(x) < 3 else x.new_zeros(len(x), 4)


class Random(nn.Module):
    def forward(self, x):
        return x + torch.rand(x.shape)


@pytest.mark.parametrize(
    ("model", "says"),
    [
        (Branches(), r"Branches cannot be traced to ONNX.*branches on values.*--to safetensors"),
        (Fixed(), r"Fixed does something else for each number of inputs"),
        (Random(), r"Random computes something else.*--to safetensors"),
    ],
)
def test_models_that_are_no_graph_are_refused_and_nothing_is_written(model, says, tmp_path):
    artifact = Artifact.of({}, {}, {})
    with pytest.raises(tt.ArtifactError, match=says):
        onnx_float(artifact, network_of(model, artifact, (4,)), tmp_path / "net.onnx")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("package", ["onnx", "onnxscript", "onnxruntime"])
def test_a_missing_package_is_named_with_the_extra(package, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, package, None)
    model, artifact = mixed()
    with pytest.raises(tt.ArtifactError, match=rf"{package}.*pip install 'tighten\[onnx\]'"):
        onnx_float(artifact, network_of(model, artifact), tmp_path / "net.onnx")


def test_an_unwritable_path_is_told(written, tmp_path):
    model, artifact, _, _ = written
    with pytest.raises(tt.ArtifactError, match=r"nowhere.*--out"):
        onnx_float(artifact, network_of(model, artifact), tmp_path / "nowhere" / "net.onnx")


def test_a_graph_with_a_changed_tensor_is_told(written):
    _, _, path, _ = written
    other = constrained(drawn(Net(), seed=1), {})
    lines = weight_lines(other, path.read_bytes())
    assert lines[0].startswith("0 of ")
    assert lines[1] == "in the graph, but changed: a.weight, a.bias, norm.weight and 8 more"
