"""Objects explain themselves, in a terminal and in a notebook."""

import torch
from tests.integrations.problem import net

import tighten as tt
from tighten.notebook import columns, table
from tighten.report import report


def session():
    return tt.Session(net(), tt.progressive(rate=5, bits=3, steps=1, epochs=2), steps_per_epoch=6)


def test_plans_say_each_stage():
    shown = repr(tt.progressive(rate=5, bits=3, steps=1, epochs=2)).splitlines()
    assert shown[0].split() == ["stage", "method", "epochs", "sets", "budget"]
    assert "weights: Sparse()" in shown[1]
    assert shown[1].endswith("rate 5")
    assert "hold what is constrained" in shown[2]
    assert "<td" in tt.progressive(rate=5)._repr_html_()


def test_sessions_say_where_they_are():
    at_start = session()
    assert repr(at_start).splitlines()[0] == "Session(stage 0 of 6 done, 0 sites constrained)"
    assert repr(at_start).count("to come") == 6
    next(iter(at_start))
    assert repr(at_start).count("at work") == 1


def test_reports_and_artifacts_and_sets():
    found = tt.Artifact.of({"a": torch.tensor([[0.0, 1.0]])}, {"a": tt.Sparse(count=1).fit(torch.tensor([[0.0, 1.0]]))},
                           {"model": "a<b:c"})  # fmt: skip
    assert "1 constrained tensors, 0 as they are" in repr(found)
    assert "bytes on disk" in report(found)._repr_html_()
    assert "<code>Sparse(count=1)</code> Tensors with a limited number" in tt.Sparse(count=1)._repr_html_()


def test_cells_are_escaped():
    assert "<b>" not in table(("<b>",), [("<b>",)], "<b>")
    assert columns(("a", "b"), [("long", "1")]) == "a     b\nlong  1"
