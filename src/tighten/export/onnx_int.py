"""ONNX with weights of 2, 4 and 8 bits."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from tighten.artifact import Artifact
from tighten.errors import ArtifactError
from tighten.export.integers import Integers, reasons, whole_tensors
from tighten.export.network import Network
from tighten.export.onnx_graph import difference, require_onnx, serialized, traced, weight_lines
from tighten.export.writing import size_line, write

if TYPE_CHECKING:
    import onnx

# The first version of the operators that knows weights of so many bits, and the file version that came with it.
VERSIONS = {2: (25, 13), 4: (21, 10), 8: (21, 10)}


def onnx_int(artifact: Artifact, network: Callable[[], Network], path: Path) -> list[str]:
    """The network as an ONNX graph whose weights at equal distances are whole numbers, dequantized where they are used.

    A tensor is stored as INT2, INT4 or INT8, the least that holds it, with one scale or one for each output, and a
    `DequantizeLinear` gives its values in the file, bit for bit. A tensor without such numbers stays float, and the
    lines say why. Zeros of pruned tensors are stored like other numbers: the format has no positions.

    Args:
        artifact: the weights.
        network: makes the network.
        path: the file.

    Raises:
        ArtifactError: as `onnx_float`, or no tensor can be stored as whole numbers.
    """
    require_onnx()
    whole, floats = whole_tensors(artifact, _check)
    if not whole:
        why = "; ".join(reasons(floats)) or "it has no constrained tensors"
        raise ArtifactError(f"the onnx-int form cannot hold anything of this file: {why}; export with --to onnx")
    built = network()
    widths = {name: numbers.bits(tuple(VERSIONS)) for name, numbers in whole.items()}
    opset, ir_version = max(VERSIONS[bits] for bits in widths.values())
    model = traced(built, opset)
    model.ir_version = ir_version
    for name, numbers in whole.items():
        names = [name, *(alias for alias, holder in artifact.aliases.items() if holder == name)]
        if not any([_dequantized(model.graph, one, widths[name], numbers) for one in names]):
            floats[name] = "the graph does not hold it under its name"
            del widths[name]
    data = serialized(model)
    distance = difference(data, built)
    write(path, data)
    counts = {bits: list(widths.values()).count(bits) for bits in VERSIONS}
    return [
        size_line(artifact, len(data)),
        *weight_lines(artifact, data),
        *(f"as INT{bits}: {count}" for bits, count in counts.items() if count),
        *(f"stays float: {line}" for line in reasons(floats)),
        f"onnxruntime computes what PyTorch does, within {distance:.1e} of the largest output",
    ]


def _check(name: str, numbers: Integers) -> None:
    if numbers.scale.dtype.itemsize > 4:
        raise ArtifactError(f"DequantizeLinear does not give {numbers.scale.dtype}")


def _dequantized(graph: onnx.GraphProto, name: str, bits: int, numbers: Integers) -> bool:
    """A float tensor of a graph replaced by whole numbers and the node that makes it of them; False if it has none."""
    import ml_dtypes
    from onnx import helper, numpy_helper

    place = next((i for i, init in enumerate(graph.initializer) if init.name == name), None)
    if place is None:
        return False
    del graph.initializer[place]
    narrow = {2: ml_dtypes.int2, 4: ml_dtypes.int4}
    values, scale = numbers.values.numpy(), numbers.scale.numpy()
    parts = {
        f"{name}.whole": values.astype(narrow[bits]) if bits in narrow else values,
        f"{name}.scale": scale if len(scale) > 1 else scale.reshape(()),
    }
    graph.initializer.extend(numpy_helper.from_array(value, part) for part, value in parts.items())
    node = helper.make_node("DequantizeLinear", list(parts), [name], f"{name}.dequantize")
    if len(scale) > 1:
        node.attribute.append(helper.make_attribute("axis", 0))
    graph.node.insert(0, node)
    return True
