"""ONNX graphs with whole numbers, used by onnxruntime."""

import onnx
import pytest
import torch
from onnx import TensorProto, numpy_helper
from tests.export.nets import LENET5, Net, constrained, drawn, inputs, mixed, network_of
from tests.export.test_onnx_float import Tied, accuracy, run

import tighten as tt
from tighten.artifact import Artifact
from tighten.data import mnist
from tighten.export import Network
from tighten.export.onnx_float import onnx_float
from tighten.export.onnx_int import onnx_int


def stored(path):
    """Types of the stored tensors by name, and what `DequantizeLinear` makes of them, computed by the standard."""
    model = onnx.load(path)
    inits = {init.name: init for init in model.graph.initializer}
    made = {}
    for node in model.graph.node:
        if node.op_type == "DequantizeLinear":
            whole, scale = (numpy_helper.to_array(inits[name]) for name in node.input)
            whole = torch.from_numpy(whole.astype("float32"))
            scale = torch.from_numpy(scale.copy())
            made[node.output[0]] = whole * (scale.view(-1, *[1] * (whole.ndim - 1)) if scale.ndim else scale)
    return {name: init.data_type for name, init in inits.items()}, made, model


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    model, artifact = mixed()
    path = tmp_path_factory.mktemp("onnx") / "net.onnx"
    return model, artifact, path, onnx_int(artifact, network_of(model, artifact), path)


def test_outputs_are_those_of_the_model(written):
    model, _, path, _ = written
    for count in (1, 5):
        with torch.no_grad():
            torch.testing.assert_close(run(path, inputs(count)), model(inputs(count)), rtol=1e-5, atol=1e-5)


def test_each_tensor_has_the_least_type_and_its_values_bit_for_bit(written):
    _, artifact, path, lines = written
    kinds, made, model = stored(path)
    state = artifact.state_dict()
    assert {name: kinds[f"{name}.whole"] for name in made} == {
        "b.weight": TensorProto.INT4,
        "c.weight": TensorProto.INT4,
        "d.weight": TensorProto.INT8,
    }
    assert kinds["a.weight"] == TensorProto.FLOAT
    for name, value in made.items():
        assert value.numpy().tobytes() == state[name].numpy().tobytes(), name
        assert name not in kinds
    assert "as INT4: 2" in lines
    assert "as INT8: 1" in lines
    assert "stays float: a.weight (values are free, not levels)" in lines
    assert "11 of 12 tensors are in the graph, bit for bit" in lines
    assert [one.version for one in model.opset_import] == [21]


def test_four_bits_take_half_a_byte(tmp_path):
    model = drawn(Net())
    artifact = constrained(model, {"c.weight": tt.Uniform(bits=4)})
    for form in (onnx_float, onnx_int):
        form(artifact, network_of(model, artifact), tmp_path / form.__name__)
    saved = (tmp_path / "onnx_float").stat().st_size - (tmp_path / "onnx_int").stat().st_size
    entries = 7 * 54
    assert saved == pytest.approx(entries * 3.5, abs=200)  # the scale, the node and the names


def test_two_bits_need_newer_operators(tmp_path):
    model = drawn(Net())
    artifact = constrained(model, {"b.weight": tt.Binary(), "c.weight": tt.Ternary(per_channel=True)})
    lines = onnx_int(artifact, network_of(model, artifact), tmp_path / "net.onnx")
    kinds, made, graph = stored(tmp_path / "net.onnx")
    assert kinds["b.weight.whole"] == kinds["c.weight.whole"] == TensorProto.INT2
    assert [one.version for one in graph.opset_import] == [25]
    assert all(torch.equal(value, artifact.state_dict()[name]) for name, value in made.items())
    assert "as INT2: 2" in lines
    with torch.no_grad():
        torch.testing.assert_close(run(tmp_path / "net.onnx", inputs(3)), model(inputs(3)), rtol=1e-5, atol=1e-5)


def test_tied_tensors_are_replaced_whatever_their_name_in_the_graph(tmp_path):
    model = drawn(Tied())
    artifact = constrained(model, {"one.weight": tt.Uniform(bits=4)})
    lines = onnx_int(artifact, network_of(model, artifact, (4,)), tmp_path / "tied.onnx")
    _, made, _ = stored(tmp_path / "tied.onnx")
    assert len(made) == 1
    assert "4 of 4 tensors are in the graph, bit for bit" in lines


@pytest.mark.parametrize(
    "name", ["joint", "binary", *(pytest.param(name, marks=pytest.mark.slow) for name in ("ternary", "pow2"))]
)
def test_lenet5_keeps_its_accuracy(name, data_dir, tmp_path):
    artifact = Artifact.open(LENET5 / f"lenet5-mnist-{name}-seed0.tight")
    onnx_int(artifact, lambda: Network.of(artifact), tmp_path / "net.onnx")
    found = accuracy(tmp_path / "net.onnx", mnist(data_dir).test)
    assert found == pytest.approx(artifact.meta["claims"]["accuracy"], abs=0.02)
    bits = 2 if name in ("binary", "ternary") else 4
    assert (tmp_path / "net.onnx").stat().st_size < 430_500 * bits / 8 + 8_000


@pytest.mark.parametrize(
    ("sets", "says"),
    [
        ({}, "no constrained tensors"),
        ({"c.weight": tt.Sparse(density=0.2)}, r"c\.weight \(values are free, not levels\)"),
        ({"c.weight": tt.Codebook(bits=4)}, r"c\.weight \(levels do not lie at equal distances"),
    ],
)
def test_nothing_to_store_so_is_refused(sets, says, tmp_path):
    artifact = constrained(drawn(Net()), sets)
    with pytest.raises(tt.ArtifactError, match=rf"{says}.*--to onnx"):
        onnx_int(artifact, lambda: pytest.fail("built for nothing"), tmp_path / "net.onnx")
