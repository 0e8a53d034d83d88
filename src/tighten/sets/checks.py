"""What every set asks of a tensor and of its own numbers."""

from __future__ import annotations

import math
from numbers import Real

import torch
from torch import Tensor

from tighten.errors import SetError
from tighten.sets.base import Set
from tighten.sets.part import Part, largest

LARGEST = 1e150
"""Sums of squares of larger numbers are not finite in float64."""


def usable(s: Set, x: Tensor, part: Part | None = None) -> Tensor:
    """`x` without its history, where `s` can be fitted to it.

    Raises:
        SetError: `x` is empty, not of a floating-point type, or not finite.
    """
    if not x.is_floating_point() or (x.numel() == 0 and part is None):
        raise SetError(f"{s!r} cannot be fitted to {_form(x)}: give a floating-point tensor with entries")
    x = x.detach()
    # Not the largest magnitude itself: maxima over processes may pass over what is not a number.
    if bool(largest(part, (~(_size(x) < LARGEST)).to(torch.int64))):
        broken = bool(largest(part, (~torch.isfinite(x)).any().to(torch.int64)))
        fact = "NaN or infinite entries" if broken else f"entries beyond {LARGEST:g}"
        raise SetError(f"{s!r} cannot be fitted to {_form(x)} with {fact}: look for what made them")
    return x


def whole(s: Set, name: str, value: object, least: int, most: int | None = None) -> None:
    """Nothing, where a setting is a whole number within its limits.

    Raises:
        SetError: it is not.
    """
    fits = isinstance(value, int) and not isinstance(value, bool)
    if not fits or value < least or (most is not None and value > most):  # type: ignore[operator]
        limits = f"from {least} to {most}" if most is not None else f"of at least {least}"
        raise SetError(f"{name}={value!r} in {s!r}: give a whole number {limits}")


def number(s: Set, name: str, value: object) -> None:
    """Nothing, where a setting is a finite number.

    Raises:
        SetError: it is not.
    """
    if not isinstance(value, Real) or isinstance(value, bool) or not math.isfinite(value):
        raise SetError(f"{name}={value!r} in {s!r}: give a finite number")


def flag(s: Set, name: str, value: object) -> None:
    """Nothing, where a setting is True or False.

    Raises:
        SetError: it is not.
    """
    if not isinstance(value, bool):
        raise SetError(f"{name}={value!r} in {s!r}: give True or False")


def _size(x: Tensor) -> Tensor:
    """The largest magnitude."""
    if not x.numel():
        return x.new_zeros((), dtype=torch.float64)
    least, most = x.aminmax()
    return torch.maximum(-least, most).double()


def _form(x: Tensor) -> str:
    return f"a tensor of shape {tuple(x.shape)} and type {str(x.dtype).removeprefix('torch.')}"
