"""Networks as ONNX graphs whose weights are those of the file."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from tighten.artifact import Artifact
from tighten.errors import ArtifactError
from tighten.export.integers import raw_bytes
from tighten.export.network import Network, first_line
from tighten.export.writing import listed

if TYPE_CHECKING:
    import onnx

INPUT, OUTPUT = "input", "output"
BATCHES = (1, 3)  # the graph was traced with another one
TOLERANCE = 1e-3  # of the largest output; what rounding comes to is far below, another function far above


def require_onnx() -> None:
    """Nothing, where the packages of the extra are installed.

    Raises:
        ArtifactError: one is missing.
    """
    try:
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise ArtifactError(f"ONNX files need a package more ({error}): pip install 'tighten[onnx]'") from error


def traced(network: Network, opset: int) -> onnx.ModelProto:
    """The graph of a network, any number of inputs at once; every weight is as it is in the model, under its name.

    What depends on no weight is computed once, here. What does is left in the graph (a batch norm is not folded into a
    convolution, for instance), because it would change weights; a runtime does that when it loads the file.

    Args:
        network: what to trace.
        opset: the version of the operators.

    Raises:
        ArtifactError: the model cannot be traced.
    """
    from onnx_ir import SymbolicDim
    from onnxscript.optimizer import fold_constants, remove_unused_nodes

    model, example = network.model, network.example
    with torch.no_grad():
        outputs = model(example)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                model,
                (torch.cat([example, example]),),  # a batch of one may be taken for a constant
                dynamo=True,
                dynamic_shapes=({0: torch.export.Dim("batch")},),
                input_names=[INPUT],
                output_names=[OUTPUT] if isinstance(outputs, Tensor) else None,
                opset_version=opset,
                optimize=False,
                verbose=False,
            )
    except Exception as error:  # of many kinds, by what the tracer meets in the model
        why = first_line(error.__cause__ or error)
        raise ArtifactError(
            f"{type(model).__name__} cannot be traced to ONNX ({why}): write its forward without branches on values "
            "and for any number of inputs, or export with --to safetensors"
        ) from error
    assert program is not None
    shape = program.model.graph.inputs[0].shape
    if shape is None or not isinstance(shape[0], SymbolicDim):
        raise ArtifactError(
            f"{type(model).__name__} does something else for each number of inputs: write its forward for any number, "
            "or export with --to safetensors"
        )
    names = set(model.state_dict())

    def depends_on_no_weight(node: Any) -> bool | None:
        return False if any(value is not None and value.name in names for value in node.inputs) else None

    for _ in range(2):  # the first round makes new constants
        fold_constants(program.model, should_fold=depends_on_no_weight)
    remove_unused_nodes(program.model)
    return _bare(program.model_proto)


def weight_lines(artifact: Artifact, data: bytes) -> list[str]:
    """Which tensors of the artifact a file holds, compared bit for bit, whole numbers after they are dequantized."""
    import onnx

    state = {name: raw_bytes(value) for name, value in artifact.state_dict().items()}
    held = {name: value.tobytes() for name, value in _tensors(onnx.load_from_string(data).graph).items()}
    same = {name for name, value in state.items() if held.get(name) == value}
    holders = {artifact.aliases.get(name, name) for name in same}
    # Of tied tensors the graph holds one.
    same |= {name for name in state if name not in held and artifact.aliases.get(name, name) in holders}
    lines = [f"{len(same)} of {len(state)} tensors are in the graph, bit for bit"]
    if changed := [name for name in state if name in held and name not in same]:
        lines.append(f"in the graph, but changed: {listed(changed)}")
    if unused := [name for name in state if name not in held and name not in same]:
        lines.append(f"not needed by the graph: {listed(unused)}")
    return lines


def _tensors(graph: onnx.GraphProto) -> dict[str, np.ndarray[Any, Any]]:
    """The constant tensors of a graph by name: those that are stored, and those that are dequantized from them."""
    from onnx import numpy_helper

    tensors = {init.name: numpy_helper.to_array(init) for init in graph.initializer}
    for node in graph.node:
        if node.op_type == "DequantizeLinear":
            whole, scale = (tensors[name] for name in node.input)
            tensors[node.output[0]] = whole.astype(scale.dtype) * scale.reshape(-1, *[1] * max(whole.ndim - 1, 0))
    return tensors


def difference(data: bytes, network: Network) -> float:
    """How far onnxruntime's outputs are from the model's at most, relative to the largest; on random inputs.

    Raises:
        ArtifactError: the graph cannot be run, or computes something else.
    """
    import onnxruntime

    worst = 0.0
    try:
        session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
        for batch in BATCHES:
            generator = torch.Generator().manual_seed(batch)
            inputs = torch.randn(batch, *network.example.shape[1:], generator=generator)
            with torch.no_grad():
                expected = network.model(inputs)
            found = session.run(None, {INPUT: inputs.numpy()})
            for one, other in zip([expected] if isinstance(expected, Tensor) else expected, found, strict=True):
                largest = float(one.abs().max()) if one.numel() else 0.0
                distance = float((one - torch.from_numpy(other)).abs().max()) if one.numel() else 0.0
                worst = max(worst, distance / largest if largest else distance)
    except Exception as error:
        raise ArtifactError(
            f"the ONNX graph of {type(network.model).__name__} cannot be run ({first_line(error)}): "
            "export with --to safetensors"
        ) from error
    if not worst <= TOLERANCE:
        raise ArtifactError(
            f"the ONNX graph of {type(network.model).__name__} computes something else (outputs differ by {worst:.2g} "
            "of the largest): make its forward depend on its input only, or export with --to safetensors"
        )
    return worst


def serialized(model: onnx.ModelProto) -> bytes:
    """The bytes of the file.

    Raises:
        ArtifactError: it is larger than the format allows in one file.
    """
    import onnx

    try:
        data: bytes = model.SerializeToString()
        onnx.checker.check_model(data, full_check=True)
    except Exception as error:
        raise ArtifactError(
            f"the ONNX graph is not one that the format takes ({first_line(error)}): export with --to safetensors"
        ) from error
    return data


def _bare(model: onnx.ModelProto) -> onnx.ModelProto:
    """The graph without what the exporter notes beside it, such as lines of source code."""
    graph = model.graph
    del graph.value_info[:]
    for part in (model, graph, *graph.node, *graph.input, *graph.output, *graph.initializer):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")
    return model
