"""All entries of a state dict, one after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeAlias

from torch import Tensor

from tighten.codecs import form
from tighten.codecs.coder import Coder
from tighten.codes import Code
from tighten.errors import ArtifactError

_CODE, _REST, _ALIAS = range(3)

Entry: TypeAlias = Code | Tensor | str
"""A code, a tensor as it is, or the name of the entry to which this one is tied."""
CodeCodec: TypeAlias = Callable[[Coder, Code | None, str], Code]


def one_by_one(
    coder: Coder, order: Sequence[str], given: Mapping[str, Entry] | None, code: CodeCodec
) -> Iterator[tuple[str, Entry]]:
    """Names and entries in this order, each coded when it is asked for.

    Raises:
        ArtifactError: an entry is tied to one that is itself tied.
    """
    places, ties = {name: place for place, name in enumerate(order)}, {}
    for name in order:
        value = None if given is None else given[name]
        kind = coder.number(None if value is None else _kind(value), "kind", _ALIAS)
        if kind == _CODE:
            assert value is None or not isinstance(value, Tensor | str)
            yield name, code(coder, value, name)
        elif kind == _REST:
            assert value is None or isinstance(value, Tensor)
            yield name, form.tensor(coder, value)
        else:
            place = places[value] if isinstance(value, str) else None
            ties[name] = order[coder.number(place, "alias", len(order) - 1)]
            yield name, ties[name]
    for name, holder in ties.items():
        if holder in ties:
            raise ArtifactError(f"'{name}' is tied to '{holder}', which is itself tied to another name")
    coder.mark("header")


def _kind(value: Entry) -> int:
    if isinstance(value, str):
        return _ALIAS
    return _REST if isinstance(value, Tensor) else _CODE
