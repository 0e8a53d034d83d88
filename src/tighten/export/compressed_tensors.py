"""The layout of the compressed-tensors package, which vLLM and transformers read."""

from __future__ import annotations

import json
import os
import secrets
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor

from tighten.artifact import Artifact
from tighten.errors import ArtifactError
from tighten.export.integers import Integers, reasons
from tighten.export.layers import WEIGHT, layer_weights
from tighten.export.network import Network
from tighten.export.writing import size_line

FORMAT = "pack-quantized"
WORD = 32
# The package packs three bits in a way that changed from version to version; these fill words evenly in all.
WIDTHS = (2, 4, 8)
WEIGHTS, CONFIG = "model.safetensors", "config.json"


def compressed_tensors(artifact: Artifact, network: Callable[[], Network], path: Path) -> list[str]:
    """A folder with `model.safetensors` and `config.json`, in the layout "pack-quantized".

    Matrices of layers whose levels lie at equal distances are packed, 2, 4 or 8 bits for each weight, with one scale
    for each row; unpacked they are as in the file, bit for bit. All other tensors are stored as they are, and the lines
    say why. Pruned tensors with free values are among these: the package has no layout for sparse tensors any more.

    Args:
        artifact: what to write.
        network: not used; all forms share one signature.
        path: the folder; one that an earlier export wrote is replaced.

    Raises:
        ArtifactError: no tensor can be packed, or the folder cannot be written.
    """
    whole, floats = layer_weights(artifact, "compressed-tensors")
    widths = {name.removesuffix(WEIGHT): numbers.bits(WIDTHS) for name, numbers in whole.items()}
    tensors: dict[str, Tensor] = {}
    for name, tensor in artifact.state_dict().items():
        if name in whole:
            layer = name.removesuffix(WEIGHT)
            tensors.update({f"{layer}.{part}": t for part, t in _parts(whole[name], widths[layer]).items()})
        else:
            tensors[name] = tensor
    # The format forbids tensors that share memory.
    data = save({name: tensor.clone().contiguous() for name, tensor in tensors.items()})
    files = {WEIGHTS: data, CONFIG: json.dumps(_config(widths), indent=2).encode()}
    _write_folder(path, files)
    counts = {bits: list(widths.values()).count(bits) for bits in WIDTHS}
    return [
        size_line(artifact, sum(map(len, files.values()))),
        *(f"packed at {bits} bits: {count}" for bits, count in counts.items() if count),
        *(f"stays float: {line}" for line in reasons(floats)),
    ]


def _parts(numbers: Integers, bits: int) -> dict[str, Tensor]:
    """What a packed matrix is stored as; entry i of a row lies at bit `i * bits`, counted from the lowest of a word."""
    rows, columns = numbers.values.shape
    per_word = WORD // bits
    entries = torch.zeros(rows, -(-columns // per_word) * per_word, dtype=torch.int64)
    entries[:, :columns] = numbers.values.long() + 2 ** (bits - 1)
    shifted = entries.view(rows, -1, per_word) << torch.arange(0, WORD, bits)
    return {
        "weight_packed": shifted.sum(2).to(torch.int32),  # the highest bit becomes the sign
        "weight_scale": numbers.scale.view(-1, 1),
        "weight_shape": torch.tensor([rows, columns]),
    }


def _config(widths: dict[str, int]) -> dict[str, Any]:
    groups = {
        f"group_{place}": {
            "targets": [layer for layer, width in widths.items() if width == bits],
            "weights": {
                "num_bits": bits,
                "type": "int",
                "symmetric": True,
                "strategy": "channel",
                "dynamic": False,
            },
            "format": FORMAT,
        }
        for place, bits in enumerate(sorted(set(widths.values())))
    }
    quantization = {
        "quant_method": "compressed-tensors",
        "format": FORMAT,
        "quantization_status": "compressed",
        "config_groups": groups,
        "ignore": [],
    }
    return {"quantization_config": quantization}


def _write_folder(path: Path, files: dict[str, bytes]) -> None:
    """The files in a folder of their own, all of them or none."""
    if path.exists() and not (path.is_dir() and {file.name for file in path.iterdir()} <= set(files)):
        raise ArtifactError(f"'{path}' is not a folder of an earlier export: choose another --out")
    mark = secrets.token_hex(4)
    beside, old = (path.with_name(f".{path.name}.{mark}.{part}") for part in ("tmp", "old"))
    try:
        beside.mkdir()
        for name, data in files.items():
            (beside / name).write_bytes(data)
        if path.exists():
            os.replace(path, old)
        os.replace(beside, path)
    except OSError as error:
        raise ArtifactError(f"'{path}' cannot be written ({error.strerror or error}): choose another --out") from error
    finally:
        for left in (beside, old):
            shutil.rmtree(left, ignore_errors=True)
