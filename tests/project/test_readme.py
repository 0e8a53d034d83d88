"""The code of the README does what it says."""

import re
from pathlib import Path

import torch
from torch import nn

import tighten as tt

README = Path(__file__).parents[2] / "README.md"


def blocks():
    return re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)


def test_first_lines_compress_a_network(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(20, 30), nn.ReLU(), nn.Linear(30, 20), nn.ReLU(), nn.Linear(20, 4))
    x = torch.randn(64, 20)
    loader = [(x[:32], x[:32, :4].argmax(1)), (x[32:], x[32:, :4].argmax(1))]

    def train_one_epoch(model, loader, optimizer):
        for inputs, targets in loader:
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(inputs), targets).backward()
            optimizer.step()

    names = {"torch": torch, "model": model, "loader": loader, "train_one_epoch": train_one_epoch}
    exec(compile(blocks()[0], "README.md", "exec"), names)
    again = nn.Sequential(nn.Linear(20, 30), nn.ReLU(), nn.Linear(30, 20), nn.ReLU(), nn.Linear(20, 4))
    tt.load("net.tight", again)
    weights = [p for p in again.parameters() if p.ndim > 1]
    assert sum(int((w != 0).sum()) for w in weights) <= (600 + 600 + 80) // 30
    assert all(len(w.detach().unique()) <= 17 for w in weights)
    assert "bytes on disk" in capsys.readouterr().out


def test_the_explicit_plan_is_one():
    stage = eval(blocks()[1].replace("...", "rho=1e-3"), {"tt": tt})
    assert isinstance(stage, tt.Stage)
