"""The bar of a file that is read."""

import io

import pytest
from rich.console import Console

from tighten.cli import reading as module


@pytest.mark.parametrize(("terminal", "says"), [(True, "3/7"), (False, "")])
def test_a_terminal_shows_how_far_it_is(monkeypatch, terminal, says):
    out = io.StringIO()
    monkeypatch.setattr(module, "console", Console(file=out, force_terminal=terminal, width=80))
    with module.reading() as seen:
        seen(3, 7)
    assert says in out.getvalue()
    assert bool(out.getvalue()) == terminal
