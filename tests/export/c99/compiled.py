"""Networks as C, compiled and run."""

from __future__ import annotations

import ctypes
import secrets
import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tighten.artifact import Artifact
from tighten.codes import Code
from tighten.export.c99 import c99
from tighten.export.c99.program import c_name
from tighten.export.network import Network

FLAGS = ("-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic", "-O2")
Run = Callable[[Tensor], Tensor]


def gcc(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """A run of the compiler, which must succeed; skips where there is none."""
    if shutil.which("gcc") is None:
        pytest.skip("needs gcc")
    done = subprocess.run(["gcc", *map(str, arguments)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done


def exported(
    folder: Path, model: nn.Module, shape: tuple[int, ...], codes: Mapping[str, Code] | None = None, name: str = "net"
) -> tuple[Path, list[str]]:
    """The .c file of a model and what was said of it."""
    artifact = Artifact.of(model.state_dict(), codes or {}, {})
    path = folder / f"{name}.c"
    return path, c99(artifact, lambda: Network.of(artifact, model, shape), path)


def compiled(path: Path, outputs: int) -> Run:
    """A function of a batch that runs the C code on one input after the other."""
    # A name of its own each time: a library that is open is not read again.
    library = path.with_name(f"{path.stem}-{secrets.token_hex(4)}.so")
    gcc(*FLAGS, "-shared", "-fPIC", path, "-o", library)
    function = getattr(ctypes.CDLL(str(library)), f"{c_name(path.stem)}_run")
    function.restype = None

    def run(batch: Tensor) -> Tensor:
        given = np.ascontiguousarray(batch.numpy(), dtype=np.float32)
        made = np.empty((len(given), outputs), dtype=np.float32)
        for x, y in zip(given, made, strict=True):
            function(ctypes.c_void_p(x.ctypes.data), ctypes.c_void_p(y.ctypes.data))
        return torch.from_numpy(made)

    return run


@torch.no_grad()
def check(
    folder: Path,
    model: nn.Module,
    shape: tuple[int, ...],
    codes: Mapping[str, Code] | None = None,
    error: float = 2e-6,
) -> list[str]:
    """Holds the C code of a model to the model; gives what was said of it."""
    model.eval()
    path, lines = exported(folder, model, shape, codes)
    batch = torch.randn(3, *shape, generator=torch.Generator().manual_seed(1))
    expected = model(batch.clone()).flatten(1)
    found = compiled(path, expected.shape[1])(batch)
    largest = expected.abs().max().clamp(min=1e-3)
    assert (found - expected).abs().max() <= error * largest
    return lines


def pruned(model: nn.Module, density: float, seed: int = 0) -> nn.Module:
    """The model with most weights zero, and batch norm as after training."""
    draw = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.mul_(torch.rand(parameter.shape, generator=draw) < density)
        for module in model.modules():
            if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
                if module.affine:
                    module.weight.uniform_(0.5, 1.5, generator=draw)
                    module.bias.normal_(0, 0.3, generator=draw)
                module.running_mean.normal_(0, 0.3, generator=draw)
                module.running_var.uniform_(0.5, 2, generator=draw)
    return model.eval()
