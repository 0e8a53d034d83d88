"""The table for one GPU, on noise and a small network: every row ends, a stopped call goes on, files hold."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "gpu_cifar10.py"


class Small(nn.Module):
    """Stands in for VGG-16; large enough to be pruned 120x."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(3, 8, 5, stride=4)
        self.bn = nn.BatchNorm2d(8)
        self.second = nn.Conv2d(8, 16, 3)
        self.last = nn.Linear(16, 10)

    def forward(self, x):
        return self.last(self.second(self.bn(self.first(x)).relu()).relu().mean(dim=(2, 3)))


@pytest.fixture
def script(monkeypatch):
    spec = importlib.util.spec_from_file_location("gpu_cifar10", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "gpu_cifar10", module)  # dataclasses look their module up
    spec.loader.exec_module(module)

    def read(root, train, device, seed):
        made = torch.Generator().manual_seed(seed + train)
        inputs, targets = torch.randn(40, 3, 32, 32, generator=made), torch.arange(40) % 10
        return module.Pictures(inputs, targets, torch.Generator(device).manual_seed(seed))

    monkeypatch.setattr(module.Pictures, "read", read)
    monkeypatch.setattr(module, "vgg16_cifar10", Small)
    monkeypatch.setattr(module, "BATCH", 16)
    return module


def arguments(folder, *more):
    paths = {"--data": folder, "--runs": folder / "runs", "--results": folder / "results"}
    words = [str(word) for pair in paths.items() for word in pair]
    return [*words, "--seeds", "0", "--epochs", "0.05", "--device", "cpu", *more]


def results(folder):
    found = {path.stem: json.loads(path.read_text()) for path in (folder / "results").glob("*.json")}
    for row in found.values():
        row.pop("seconds")
        for epoch in row["history"]:
            epoch.pop("seconds")
    return found


def test_calls_that_run_out_of_time_end_as_one_long_call_does(script, tmp_path, capsys):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert script.main(arguments(whole))
    calls = 1
    while not script.main(arguments(parts, "--minutes", "0")):
        calls += 1
        assert calls < 100
    assert calls > 10
    assert results(parts) == results(whole)
    assert set(results(whole)) == {f"{row}-seed0" for row in ("dense", *script.AIMS)}
    assert "(PARTIAL)" in capsys.readouterr().out


def test_files_hold_what_rows_say(script, tmp_path, monkeypatch, capsys):
    script.main(arguments(tmp_path, "--rows", "pruned-75x", "binary", "joint"))
    script.main(arguments(tmp_path, "--files"))
    weights = sum(p.numel() for p in Small().parameters() if p.ndim > 1)
    for name, row in results(tmp_path).items():
        if row["row"] == "dense":
            continue
        file = tmp_path / "results" / f"{name}.tight"
        assert row["bytes"] == file.stat().st_size
        state = script.tt.Artifact.open(file).state_dict()
        tensors = [w for w in state.values() if w.ndim > 1]
        assert sum(int(w.count_nonzero()) for w in tensors) == row["kept"]
        if row["row"] == "binary":
            assert all(len(w.unique()) == 2 for w in tensors)
        else:
            assert row["kept"] == weights // {"pruned-75x": 75, "joint": 120}[row["row"]]
    assert "smaller" in capsys.readouterr().out
