"""Codes whose levels lie at equal distances, as whole numbers times a scale."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import reduce

import torch
from torch import Tensor

from tighten.artifact import Artifact
from tighten.codes import Code, Dense, Indexed, Sparse
from tighten.errors import ArtifactError
from tighten.export.writing import listed

WIDEST = 8


@dataclass(frozen=True, eq=False)
class Integers:
    """Entries `scale * values`, the product taken in the type of the scale.

    Args:
        values: whole numbers in int8, of the tensor's shape.
        scale: `[1]`, or `[outputs]` with one factor for each output (axis 0).
    """

    values: Tensor
    scale: Tensor

    def dense(self) -> Tensor:
        """The tensor that these numbers describe."""
        per_output = self.scale.view(-1, *[1] * (self.values.ndim - 1)) if self.values.ndim else self.scale[0]
        return self.values.to(self.scale.dtype) * per_output

    def bits(self, widths: tuple[int, ...]) -> int:
        """The least of these widths whose signed numbers hold all values; 8 holds them always."""
        if not self.values.numel():
            return min(widths)
        least, most = int(self.values.min()), int(self.values.max())
        return next((b for b in sorted(widths) if -(2 ** (b - 1)) <= least and most < 2 ** (b - 1)), WIDEST)


def integers(code: Code) -> Integers:
    """The whole numbers and scales of a code, equal to its tensor bit for bit.

    The numbers are as small as that allows: of levels 0.5 q and 0.75 q the unit is 0.25 q.

    Raises:
        ArtifactError: why there are none; the caller adds the tensor's name.
    """
    inner = code.inner if isinstance(code, Sparse) else code
    if isinstance(inner, Dense):
        raise ArtifactError("values are free, not levels")
    if len(inner.scale) > 1:
        _check_runs(code, inner)
    for unit in _units(inner):
        found = _in_units(code, inner, unit)
        if raw_bytes(found.dense()) == raw_bytes(code.dense()):
            return found
    raise ArtifactError("levels are not whole multiples of one number, to the last bit")


def whole_tensors(
    artifact: Artifact, check: Callable[[str, Integers], None]
) -> tuple[dict[str, Integers], dict[str, str]]:
    """The codes of an artifact as whole numbers, and for the others why they are not, both by name.

    Args:
        artifact: the codes.
        check: raises an ArtifactError with the reason where a format cannot hold a tensor.
    """
    whole, floats = {}, {}
    for name, code in artifact.codes.items():
        try:
            numbers = integers(code)
            check(name, numbers)
        except ArtifactError as error:
            floats[name] = str(error)
        else:
            whole[name] = numbers
    return whole, floats


def reasons(floats: dict[str, str]) -> list[str]:
    """The tensors that stay float, in one line for each reason."""
    by_reason: dict[str, list[str]] = {}
    for name, reason in floats.items():
        by_reason.setdefault(reason, []).append(name)
    return [f"{listed(names)} ({reason})" for reason, names in by_reason.items()]


def _units(inner: Indexed) -> tuple[Fraction, Fraction]:
    """What all levels in use are whole multiples of, the best first.

    The largest one gives the least numbers, but a scale that is multiplied by it may be rounded; by a power of two it
    is not.
    """
    if not bool(torch.isfinite(inner.steps).all()):
        raise ArtifactError("levels are not all finite")
    used = inner.steps[torch.unique(inner.index.long())].tolist()
    largest = reduce(_common, (abs(Fraction(step)) for step in used), Fraction(0)) or Fraction(1)
    return largest, Fraction(largest.numerator & -largest.numerator, largest.denominator)


def _in_units(code: Code, inner: Indexed, unit: Fraction) -> Integers:
    """The entries of a code as multiples of a unit."""
    used = set(torch.unique(inner.index.long()).tolist())
    whole = [int(Fraction(step) / unit) if place in used else 0 for place, step in enumerate(inner.steps.tolist())]
    if max(map(abs, whole), default=0) >= 2 ** (WIDEST - 1):
        raise ArtifactError("levels do not lie at equal distances, at most 127 of them from zero")
    values = torch.tensor(whole, dtype=torch.int8)[inner.index.long()]
    if isinstance(code, Sparse):
        entries, values = values, torch.zeros(code.shape, dtype=torch.int8)
        values[code.support] = entries
    return Integers(values, (inner.scale.double() * float(unit)).to(inner.scale.dtype))


def _common(a: Fraction, b: Fraction) -> Fraction:
    """The largest number of which both are whole multiples."""
    lower = math.lcm(a.denominator, b.denominator)
    return Fraction(math.gcd(int(a * lower), int(b * lower)), lower)


def _check_runs(code: Code, inner: Indexed) -> None:
    outputs = code.shape[0]
    support = code.support if isinstance(code, Sparse) else torch.ones(code.shape, dtype=torch.bool)
    if len(inner.scale) != outputs or inner.counts.tolist() != support.reshape(outputs, -1).sum(1).tolist():
        raise ArtifactError("there are several scales, but not one for each output")


def raw_bytes(tensor: Tensor) -> bytes:
    """The bytes of a tensor; compared instead of values, so that the sign of zero counts."""
    return tensor.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
