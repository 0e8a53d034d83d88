"""The code of the pages on loops and on resuming, carried out from top to bottom."""

import re
import warnings
from pathlib import Path

import pytest
import torch
from accelerate import Accelerator
from tests.integrations.problem import loader as digits_loader
from tests.integrations.problem import net

import tighten as tt
from tighten.recipes import parse
from tighten.torchvision_ops import import_torchvision

import_torchvision()
lightning = pytest.importorskip("lightning.pytorch")
transformers = pytest.importorskip("transformers")

DOCS = Path(__file__).parents[2] / "docs"


def blocks(page, language="python"):
    return re.findall(rf"```{language}\n(.*?)```", (DOCS / page).read_text(encoding="utf-8"), re.DOTALL)


class Module(lightning.LightningModule):
    def __init__(self):
        super().__init__()
        self.net = net()

    def training_step(self, batch, index):
        return torch.nn.functional.cross_entropy(self.net(batch[0]), batch[1])

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-3)


def test_every_loop_compresses_its_network(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Accelerator(cpu=True).state._reset_state(reset_partial_state=True)
    ids = torch.arange(8).repeat(16, 1)
    gpt2 = transformers.GPT2Config(n_embd=8, n_layer=1, n_head=2, n_positions=8, vocab_size=8)
    names = {"torch": torch, "tt": tt}
    fresh = {
        "model": net,
        "net": net,
        "loader": digits_loader,
        "module": Module,
        "letters": lambda: [{"input_ids": row, "labels": row} for row in ids],
        "letters_model": lambda: transformers.GPT2LMHeadModel(gpt2),
        "letters_plan": lambda: tt.Plan([tt.Stage({"*.c_*.weight": tt.Sparse(density=0.3)}, tt.Masked(), 1)]),
    }
    found = blocks("training-loops.md")
    assert len(found) == 5
    for block in found:
        names |= {name: make() for name, make in fresh.items()}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            exec(compile(block, "training-loops.md", "exec"), names)
        names["session"].check()
        names["session"].save(tmp_path / "again.tight")
        Accelerator(cpu=True).state._reset_state(reset_partial_state=True)
    assert {"net.tight", "letters.tight", "net.ckpt"} <= {path.name for path in tmp_path.iterdir()}


def test_a_loop_goes_on_from_its_checkpoint(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    saving, resuming = blocks("resume.md")

    def train_one_epoch(model, loader, optimizer, scheduler):
        for inputs, targets in loader:
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(model(inputs), targets).backward()
            optimizer.step()
            scheduler.step()

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
        exec(resuming, {"torch": torch, **locals()})
        assert session.artifact().to_bytes() == whole.artifact().to_bytes()


def test_the_documented_recovery_is_valid():
    (table,) = blocks("resume.md", "toml")
    assert parse(f'name = "a"\nmodel = "b:c"\ndata = "d:e"\n{table}', "docs/resume.md").recover.tries == 2
