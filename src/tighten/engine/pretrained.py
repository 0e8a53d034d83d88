"""Networks trained elsewhere, read from a file into a model."""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from torch import Tensor, nn

from tighten.artifact import state_dict
from tighten.errors import RunError, TightenError
from tighten.imports import load_named

COUNTER = ".num_batches_tracked"
"""How many batches a batch norm has seen; nothing depends on it, so files may leave it out."""


@dataclass(frozen=True, eq=False)
class Pretrained:
    """Trained weights as they lie in a file.

    Args:
        path: the file.
        state: the tensors by their state-dict names.
    """

    path: Path
    state: dict[str, Tensor]

    @classmethod
    def open(cls, path: Path) -> Pretrained:
        """The weights in a `.safetensors`, `.npz`, `.pt`, `.pth` or `.tight` file. Nothing in it is executed.

        A `.npz` holds one array per state-dict name, a `.pt` the state dict itself or one under "state_dict". An
        import path, such as `torchvision.models:ResNet18_Weights.IMAGENET1K_V1`, names weights that torchvision
        fetches and keeps.

        Raises:
            RunError: the file is missing, damaged, or holds something else.
        """
        if is_published(str(path)):
            return cls(path, _tensors(path, _published(str(path))))
        readers = {".safetensors": _safetensors, ".npz": _npz, ".pt": _torch, ".pth": _torch, ".tight": _tight}
        kind = path.suffix.lower()
        if kind not in readers:
            raise RunError(f"the weights '{path}' are of no known kind: give a file of {', '.join(readers)}")
        if not path.is_file():
            raise RunError(f"there is no file of weights '{path}': give --weights FILE")
        try:
            state = readers[kind](path)
        except TightenError:
            raise
        # Each reader meets damage in its own ways.
        except Exception as error:
            raise RunError(f"the weights '{path}' are damaged ({_first_line(error)}): get a good copy") from error
        return cls(path, _tensors(path, state))

    def load_into(self, model: nn.Module) -> None:
        """The weights put into a model in place, whatever floating-point type they were stored in.

        Raises:
            RunError: the file is of another model; then the model is untouched.
        """
        own = model.state_dict()
        wrong = [f"'{name}' is missing" for name in own if name not in self.state and not name.endswith(COUNTER)]
        wrong += [f"'{name}' is unexpected" for name in self.state if name not in own]
        wrong += [
            f"'{name}' is {_kind(value)}, the model wants {_kind(own[name])}"
            for name, value in self.state.items()
            if name in own and not _fits(value, own[name])
        ]
        wrong += [f"'{name}' holds NaN or infinite values" for name, value in self.state.items() if not _finite(value)]
        if wrong:
            more = f", and {len(wrong) - 3} more" if len(wrong) > 3 else ""
            raise RunError(
                f"the weights '{self.path}' do not fit {type(model).__name__}: {', '.join(wrong[:3])}{more}; "
                f"{_fix(set(own), set(self.state))}"
            )
        model.load_state_dict({**own, **self.state})


def is_published(weights: str) -> bool:
    """Whether weights are named by import path, not by file."""
    return weights.startswith("torchvision.") and ":" in weights


def _published(name: str) -> Mapping[Any, Any]:
    found = load_named(name, "weights")
    try:
        state: Mapping[Any, Any] = found.get_state_dict(progress=False, check_hash=True)
    except (OSError, RuntimeError, AttributeError) as error:
        raise RunError(
            f"the weights '{name}' cannot be had ({_first_line(error)}): give a file of them with --weights FILE"
        ) from error
    return state


def _fix(wanted: set[str], found: set[str]) -> str:
    for prefix in ("module.", "model.", "_orig_mod."):
        if any(name.startswith(prefix) and name.removeprefix(prefix) in wanted for name in found - wanted):
            inner = prefix.removesuffix(".")
            return f"its names begin with '{prefix}': save net.{inner}.state_dict() in place of net.state_dict()"
    return "name the model that they were trained in as the recipe's model, or save this model's state_dict()"


def _fits(value: Tensor, own: Tensor) -> bool:
    same_type = value.dtype == own.dtype or (value.is_floating_point() and own.is_floating_point())
    return same_type and value.shape == own.shape


def _finite(value: Tensor) -> bool:
    return not value.is_floating_point() or bool(torch.isfinite(value.float()).all())


def _kind(value: Tensor) -> str:
    return f"{str(value.dtype).removeprefix('torch.')}{list(value.shape)}"


def _tensors(path: Path, state: Mapping[Any, Any]) -> dict[str, Tensor]:
    for name, value in state.items():
        if not isinstance(name, str) or not isinstance(value, Tensor):
            raise RunError(
                f"the weights '{path}' hold a {type(value).__name__} under {name!r}: "
                "give a file written with torch.save(model.state_dict(), path)"
            )
    return dict(state)


def _safetensors(path: Path) -> dict[str, Tensor]:
    return safetensors.torch.load_file(path)


def _npz(path: Path) -> dict[str, Tensor]:
    if not zipfile.is_zipfile(path):
        raise RunError(f"the weights '{path}' are no .npz archive: write them with numpy.savez(path, **arrays)")
    with np.load(path, allow_pickle=False) as arrays:
        return {name: torch.from_numpy(arrays[name]) for name in arrays.files}


def _torch(path: Path) -> Mapping[Any, Any]:
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise RunError(
            f"the weights '{path}' are damaged or hold more than tensors, which would have to be executed: "
            "write them with torch.save(model.state_dict(), path)"
        ) from error
    if isinstance(found, dict) and isinstance(found.get("state_dict"), dict):
        found = found["state_dict"]
    if not isinstance(found, dict):
        raise RunError(
            f"the weights '{path}' are a {type(found).__name__}, not a state dict: "
            "write them with torch.save(model.state_dict(), path)"
        )
    return found


def _tight(path: Path) -> dict[str, Tensor]:
    return state_dict(path)


def _first_line(error: Exception) -> str:
    text = str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__
