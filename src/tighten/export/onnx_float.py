"""ONNX with plain float weights."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tighten.artifact import Artifact
from tighten.export.network import Network
from tighten.export.onnx_graph import difference, require_onnx, serialized, traced, weight_lines
from tighten.export.writing import size_line, write

OPSET = 20


def onnx_float(artifact: Artifact, network: Callable[[], Network], path: Path) -> list[str]:
    """The network as an ONNX graph with dense weights, every one as in the file, bit for bit.

    The first axis of the input, `input`, is free. The graph is run with onnxruntime before it is written.

    Args:
        artifact: the weights.
        network: makes the network.
        path: the file.

    Raises:
        ArtifactError: a package is missing, the model cannot be traced or computes something else as a graph, or the
            file cannot be written.
    """
    require_onnx()
    built = network()
    data = serialized(traced(built, OPSET))
    distance = difference(data, built)
    write(path, data)
    return [
        size_line(artifact, len(data)),
        *weight_lines(artifact, data),
        f"onnxruntime computes what PyTorch does, within {distance:.1e} of the largest output",
    ]
