"""A state dict with the tensors of the torchao package."""

from __future__ import annotations

import io
import logging
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import torch

from tighten.artifact import Artifact
from tighten.errors import ArtifactError
from tighten.export.integers import reasons
from tighten.export.layers import layer_weights
from tighten.export.network import Network
from tighten.export.writing import size_line, write

WIDTHS = tuple(range(1, 9))


def torchao(artifact: Artifact, network: Callable[[], Network], path: Path) -> list[str]:
    """A state dict for `torch.load` in which the matrices of layers are torchao's `IntxUnpackedToInt8Tensor`.

    Matrices whose levels lie at equal distances are whole numbers of 1 to 8 bits, each in a byte of its own, with one
    scale for each row; dequantized they are as in the file, bit for bit. All other tensors are plain, and the lines
    say why.

    Args:
        artifact: what to write.
        network: not used; all forms share one signature.
        path: the file.

    Raises:
        ArtifactError: torchao is not installed, no tensor can be stored so, or the file cannot be written.
    """
    package = _package()
    whole, floats = layer_weights(artifact, "torchao")
    state = artifact.state_dict()
    for name, numbers in whole.items():
        scale = numbers.scale.view(-1, 1)
        state[name] = package.IntxUnpackedToInt8Tensor(
            qdata=numbers.values,
            scale=scale,
            zero_point=torch.zeros_like(scale, dtype=torch.int8),
            target_dtype=getattr(torch, f"int{numbers.bits(WIDTHS)}"),
            block_size=(1, numbers.values.shape[1]),
            dtype=scale.dtype,
            activation_quantization=None,
        )
    buffer = io.BytesIO()
    torch.save(state, buffer)
    write(path, buffer.getvalue())
    return [
        size_line(artifact, buffer.tell()),
        f"whole numbers: {len(whole)}",
        *(f"stays float: {line}" for line in reasons(floats)),
    ]


def _package() -> ModuleType:
    """`torchao.quantization`, without what it says on machines that its GPU kernels do not fit."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        import torchao.quantization as package
    except ImportError as error:
        raise ArtifactError(f"torchao tensors need a package more ({error}): pip install 'tighten[torchao]'") from error
    finally:
        logging.disable(before)
    module: ModuleType = package
    return module
