"""The plain, dense state dict."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from safetensors.torch import save

from tighten.artifact import Artifact
from tighten.export.network import Network
from tighten.export.writing import size_line, write


def safetensors(artifact: Artifact, network: Callable[[], Network], path: Path) -> list[str]:
    """The whole state dict, every tensor bit for bit, as a safetensors file. Tied tensors are written for each name.

    Args:
        artifact: what to write.
        network: not used; all forms share one signature.
        path: the file.

    Raises:
        ArtifactError: the file cannot be written.
    """
    # The format forbids tensors that share memory.
    data = save({name: tensor.clone().contiguous() for name, tensor in artifact.state_dict().items()})
    write(path, data)
    return [size_line(artifact, len(data))]
