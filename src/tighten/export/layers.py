"""Weights of layers as whole numbers, for forms that hold those of matrices only."""

from __future__ import annotations

from tighten.artifact import Artifact
from tighten.errors import ArtifactError
from tighten.export.integers import Integers, reasons, whole_tensors

WEIGHT = ".weight"


def layer_weights(artifact: Artifact, form: str) -> tuple[dict[str, Integers], dict[str, str]]:
    """The matrices of a file that are whole numbers with one scale for each row, and for other codes why not.

    Tied names have the same numbers. Which class a layer is of, a file does not say: a matrix that is named `weight`
    is taken for that of an `nn.Linear` or `nn.Embedding`.

    Raises:
        ArtifactError: there is none.
    """
    whole, floats = whole_tensors(artifact, _check)
    if not whole:
        why = "; ".join(reasons(floats)) or "it has no constrained tensors"
        raise ArtifactError(f"the {form} form cannot hold anything of this file: {why}; export with --to safetensors")
    rows = {
        name: Integers(numbers.values, numbers.scale.expand(len(numbers.values)).contiguous())
        for name, numbers in whole.items()
    }
    tied = {name: rows[holder] for name, holder in artifact.aliases.items() if holder in rows and name.endswith(WEIGHT)}
    return {**rows, **tied}, floats


def _check(name: str, numbers: Integers) -> None:
    if numbers.values.ndim != 2 or not name.endswith(WEIGHT):
        raise ArtifactError("the format packs matrices of layers only")
    if numbers.scale.dtype.itemsize > 4:
        raise ArtifactError(f"the format does not know {numbers.scale.dtype}")
