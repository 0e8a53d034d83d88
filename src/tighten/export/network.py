"""The network of a file, built and ready to be traced."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor, nn

from tighten.artifact import Artifact
from tighten.data import shape_of
from tighten.errors import ArtifactError
from tighten.imports import call_named


@dataclass(frozen=True, eq=False)
class Network:
    """A file's weights in its model, and an input that the model takes.

    Args:
        model: on the CPU, in eval mode, without gradients; every tensor is that of the file, bit for bit.
        example: a batch of one input, float32.
    """

    model: nn.Module
    example: Tensor

    @classmethod
    def of(cls, artifact: Artifact, model: nn.Module | str | None = None, shape: tuple[int, ...] | None = None) -> Self:
        """The network of an artifact.

        Args:
            artifact: the weights.
            model: a model of the same architecture, which is copied, not changed; or its import path. None for the one
                that the file names, if that is in `tighten.zoo`.
            shape: of one input, without the batch axis; None for that of the data set that the file names.

        Raises:
            ArtifactError: the model or the shape is neither given nor known, the weights do not fit the model, or the
                model does not take an input of this shape.
            RecipeError: the import path leads nowhere.
        """
        built = copy.deepcopy(model) if isinstance(model, nn.Module) else _built(model or _named(artifact))
        built = built.cpu().eval().requires_grad_(False)
        _load(artifact, built)
        size = (1, *(shape or _shape(artifact)))
        try:
            example = torch.randn(size, generator=torch.Generator().manual_seed(0))
            with torch.no_grad():
                built(example)
        except Exception as error:  # whatever the model raises
            raise ArtifactError(
                f"{type(built).__name__} does not take an input of shape {list(size)} ({first_line(error)}): "
                "give the shape of one input without the batch axis, such as --input 3,32,32"
            ) from error
        return cls(built, example)


def _named(artifact: Artifact) -> str:
    path: Any = artifact.meta.get("model")
    if not isinstance(path, str):
        raise ArtifactError("the file does not name its model: give --model package.module:Net")
    if not path.startswith("tighten.zoo:"):
        raise ArtifactError(
            f"the file names the model '{path}', and code that a file names is not run by itself: "
            f"if you trust it, give --model {path}"
        )
    return path


def _built(path: str) -> nn.Module:
    model = call_named(path, "model")
    if not isinstance(model, nn.Module):
        raise ArtifactError(f"the model '{path}' makes a {type(model).__name__}, not a torch.nn.Module")
    return model


def _shape(artifact: Artifact) -> tuple[int, ...]:
    data: Any = artifact.meta.get("data")
    shape = shape_of(data) if isinstance(data, str) else None
    if shape is None:
        known = f"names the data '{data}', whose shape is not known" if data else "does not say what its inputs are"
        raise ArtifactError(
            f"the file {known}: give the shape of one input without the batch axis, such as --input 3,32,32"
        )
    return shape


def _load(artifact: Artifact, model: nn.Module) -> None:
    state, own = artifact.state_dict(), model.state_dict()
    wrong = [f"'{name}' is missing in the model" for name in state if name not in own]
    wrong += [f"'{name}' is missing in the file" for name in own if name not in state]
    wrong += [
        f"'{name}' is {_kind(value)} in the file and {_kind(own[name])} in the model"
        for name, value in state.items()
        if name in own and _kind(value) != _kind(own[name])
    ]
    if wrong:
        more = f", and {len(wrong) - 5} more" if len(wrong) > 5 else ""
        raise ArtifactError(
            f"the file does not fit {type(model).__name__}: {', '.join(wrong[:5])}{more}; "
            "give the model that was saved with --model package.module:Net"
        )
    model.load_state_dict(state)


def _kind(value: Tensor) -> str:
    return f"{str(value.dtype).removeprefix('torch.')}{list(value.shape)}"


def first_line(error: BaseException) -> str:
    """What an error of another library says, short enough for one message."""
    text = str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__
