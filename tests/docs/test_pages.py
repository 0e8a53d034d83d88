"""What the pages promise of their own code, beyond that it runs."""

import re

import pytest
import torch
from tests.docs.blocks import PAGES, ROOT, blocks
from tests.docs.given import train_one_epoch
from tests.integrations.problem import loader as digits_loader
from tests.integrations.problem import net

import tighten as tt
from tighten.data import mnist
from tighten.export import FORMS
from tighten.recipes import parse


def code(page, language="python"):
    return [block.text for block in blocks(ROOT / page) if block.language == language]


def test_the_first_lines_keep_to_their_budget(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model, loader = net(), digits_loader()
    exec(code("README.md")[0], {"torch": torch, "model": model, "loader": loader, "train_one_epoch": train_one_epoch})
    again = net()
    tt.load("net.tight", again)
    weights = [p for p in again.parameters() if p.ndim > 1]
    assert sum(int((w != 0).sum()) for w in weights) <= sum(w.numel() for w in weights) // 30
    assert all(len(w.detach().unique()) <= 17 for w in weights)


def test_the_documented_recipe_is_the_one_that_is_meant():
    recipe = parse(code("docs/recipes.md", "toml")[0], "docs/recipes.md")
    assert [str(stage) for stage in recipe.plan()] == ["prune", "masked"]


def test_a_loop_goes_on_from_its_checkpoint_to_the_same_bytes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    saving, resuming = code("docs/resume.md")

    def carry_out(stop_after):
        model, loader = net(), digits_loader()
        plan = tt.progressive(rate=5, steps=1, epochs=2)
        session, epochs = tt.Session(model, plan, steps_per_epoch=len(loader)), 0
        for stage in session:
            optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
            scheduler = stage.scheduler(optimizer)
            with stage.attached(optimizer):
                for _ in range(stage.epochs):
                    train_one_epoch(model, loader, optimizer, scheduler)
                    epochs += 1
                    if epochs == stop_after:
                        exec(saving, {"torch": torch, **locals()})
                        return session
        return session

    whole = carry_out(None)
    for stop_after in (1, 3):
        carry_out(stop_after)
        model, loader = net(), digits_loader()
        session = tt.Session(model, whole.plan, steps_per_epoch=len(loader))
        exec(resuming, {"torch": torch, "train_one_epoch": train_one_epoch, **locals()})
        assert session.artifact().to_bytes() == whole.artifact().to_bytes()


def test_every_export_form_is_in_the_table():
    text = (ROOT / "docs" / "export.md").read_text(encoding="utf-8")
    assert sorted(re.findall(r"^\| `([\w-]+)` \|", text, re.MULTILINE)) == sorted(FORMS)


@pytest.mark.slow
def test_the_accuracy_behind_the_digit_is_that_of_the_file(data_dir):
    text = (ROOT / "docs" / "export.md").read_text(encoding="utf-8")
    model, test = joint_network(), mnist(data_dir).test
    with torch.no_grad():
        scores = model(test.inputs)
    found = (scores.argmax(1) == test.targets).float().mean().item()
    assert found == pytest.approx(float(re.search(r"mean\(\)\) +# (0\.\d+)", text)[1]), abs=5e-5)


def joint_network():
    from tighten.zoo import LeNet5

    model = LeNet5()
    tt.load(ROOT / "results" / "lenet5" / "lenet5-mnist-joint-seed0.tight", model)
    return model.eval()


def test_links_lead_to_files():
    made = {"cards"}
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            if target.split("/")[0] not in made:
                assert (page.parent / target).exists(), f"{page.name} links to {target}"
