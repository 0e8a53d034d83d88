"""The round trip of format 1."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tighten.codecs.coder import Coder
from tighten.codecs.format1.stream import Reader, Writer


def _both_ways(codec: Callable[[Coder, Any], Any], value: Any) -> tuple[Any, int]:
    writer = Writer()
    codec(writer, value)
    coded, raw = writer.finish()
    reader = Reader(coded, raw, allowance=2**40)
    back = codec(reader, None)
    reader.finish()
    assert reader.contexts == writer.contexts
    return back, len(coded) + len(raw)


@pytest.fixture(scope="session")
def both_ways() -> Callable[..., tuple[Any, int]]:
    """What a codec writes, read back, and in how many bytes it was."""
    return _both_ways
