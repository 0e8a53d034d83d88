"""References are those of what was used, and of nothing else."""

import inspect
import json

import pytest
from tests.cli.test_app import RECIPE
from typer.testing import CliRunner

import tighten as tt
from tighten import allocation, data, recipes, sets, zoo
from tighten.citing import REFERENCES, Citations, cite, cited_in
from tighten.citing.sources import source_of
from tighten.cli.app import app
from tighten.engine.average import Average
from tighten.engine.distillation import Distillation

SHIPPED = [
    thing
    for module in (sets, tt, allocation, data, zoo, recipes)
    for name in module.__all__
    if inspect.isclass(thing := getattr(module, name)) or inspect.isfunction(thing)
]


def keys(citations):
    return {reference.key for reference, _ in citations.references}


@pytest.mark.parametrize(
    "thing", [t for t in [*SHIPPED, Average, Distillation] if source_of(t)], ids=lambda t: t.__name__
)
def test_every_source_leads_to_a_reference(thing):
    assert cited_in(source_of(thing)), f"no mark of tighten.citing.sources is in: {source_of(thing)}"


def test_a_mark_belongs_to_one_reference():
    marks = [mark for reference in REFERENCES for mark in reference.marks]
    assert len(set(marks)) == len(marks)
    assert len({reference.key for reference in REFERENCES}) == len(REFERENCES)


def test_a_source_of_several_lines_is_read_to_its_end():
    assert "1903.09769" in source_of(tt.PowerOfTwo)
    assert [r.key for r in cited_in(source_of(tt.PowerOfTwo))] == ["zhou2017inq", "ye2019progressive"]
    assert source_of(tt.BlockSparse) == ""


def test_a_recipe_cites_its_own_parts():
    joint, binary = keys(cite("lenet5-mnist-joint")), keys(cite("lenet5-mnist-binary"))
    assert "leng2018extremely" in joint - binary
    assert "rastegari2016xnor" in binary - joint
    assert "theis2018faster" in joint - binary, "a rule is only used where there is a budget"
    assert "krizhevsky2009learning" in keys(cite("resnet20-cifar10"))


def test_a_rule_is_cited_by_its_name(tmp_path):
    path = tmp_path / "r.toml"
    more = 'budget = { rate = 10 }\nallocate = "erk"\naverage = 0.5'
    text = RECIPE.replace("budget = { rate = 10 }", more).replace("weight = 0.5 }", 'weight = 0.5, features = ["*"] }')
    path.write_text(text)
    found = keys(cite(str(path)))
    assert {"evci2020rigging", "izmailov2018averaging", "romero2015fitnets"} <= found
    assert "theis2018faster" not in found


def test_a_file_knows_its_sets_and_not_the_way(tmp_path):
    model = zoo.DigitsNet()
    artifact = tt.Artifact.of(model.state_dict(), {}, {"sets": {"a": {"name": "Ternary"}}, "model": "os:remove"})
    artifact.save(tmp_path / "net.tight")
    assert keys(cite(str(tmp_path / "net.tight"))) == {"ye2019progressive", "li2016ternary"}


def test_a_run_and_a_shrink_cite_what_they_did(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "recipe.toml").write_text(f"# seed 0\n{RECIPE}")
    assert {"boyd2011admm", "alpaydin1998digits"} <= keys(cite(str(tmp_path / "run")))
    (tmp_path / "shrunk").mkdir()
    asked = json.dumps({"seed": 0, "gate": {}, "goal": None, "bits": None})
    (tmp_path / "shrunk" / "shrink.toml").write_text(f"# {asked}\n{RECIPE}")
    assert "leng2018extremely" not in keys(cite(str(tmp_path / "shrunk")))
    (tmp_path / "shrunk" / "shrink.toml").write_text(f"# {asked.replace('null}', '4}')}\n{RECIPE}")
    assert "leng2018extremely" in keys(cite(str(tmp_path / "shrunk")))


def test_sources_elsewhere_are_told_as_they_are():
    found = Citations({"Mine": "Somebody (2031), a paper.", "Admm": source_of(tt.Admm)})
    assert found.others == {"Mine": "Somebody (2031), a paper."}
    assert "Somebody (2031), a paper.\n    for Mine" in found.plain()


@pytest.mark.parametrize("what", ["nothing-here", "."])
def test_what_cannot_be_cited_is_told(what, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(tt.TightenError):
        cite(what)


def test_the_command_prints_both_forms():
    done = CliRunner().invoke(app, ["cite", "digits"])
    assert "Boyd" in done.output
    assert done.output.count("\n@") == len(cite("digits").references)
    bibtex = CliRunner().invoke(app, ["cite", "digits", "--bibtex"]).output
    assert bibtex.startswith("@")
    assert bibtex.count("{") == bibtex.count("}")
    data = json.loads(CliRunner().invoke(app, ["cite", "digits", "--json"]).output)
    assert {"key", "text", "for"} == set(data[0])
