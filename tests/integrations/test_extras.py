"""Libraries that are not installed."""

import importlib
import sys

import pytest

import tighten as tt
from tighten.integrations.extras import needed


@pytest.mark.parametrize(("module", "package"), [("lightning", "lightning"), ("fabric", "lightning")])
def test_a_missing_library_says_how_to_get_it(monkeypatch, module, package):
    for name in [name for name in sys.modules if name.partition(".")[0] == package]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.delitem(sys.modules, f"tighten.integrations.{module}", raising=False)
    with pytest.raises(tt.TrainingError, match=rf"pip install 'tighten\[{package}\]'"):
        importlib.import_module(f"tighten.integrations.{module}")


def test_what_a_library_itself_lacks_is_not_hidden():
    with pytest.raises(ModuleNotFoundError, match="somewhere"), needed("lightning"):
        importlib.import_module("somewhere")
