"""The plain, dense state dict."""

from __future__ import annotations

from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import save_file

from tighten.artifact import Artifact
from tighten.errors import ArtifactError


def safetensors(artifact: Artifact, path: Path) -> None:
    """The whole state dict, every tensor bit for bit, as a safetensors file. Tied tensors are written for each name.

    Raises:
        ArtifactError: the file cannot be written.
    """
    # The format forbids tensors that share memory.
    tensors = {name: tensor.clone().contiguous() for name, tensor in artifact.state_dict().items()}
    try:
        save_file(tensors, path)
    except (OSError, SafetensorError) as error:
        raise ArtifactError(f"'{path}' cannot be written: {error}; choose another --out") from error
