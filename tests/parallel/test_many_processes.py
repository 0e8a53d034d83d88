"""DDP and FSDP2: the same network on every rank, and the one that a single process makes of the same batches."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.parallel.job import PLANS, carry_out, several
from tests.parallel.spawn import in_processes

import tighten as tt


@cache
def alone(plan: str) -> dict[str, Any]:
    return carry_out("one", plan)


def same_bits(a: Any, b: Any) -> None:
    if isinstance(a, dict):
        assert a.keys() == b.keys()
        for key in a:
            same_bits(a[key], b[key])
    elif isinstance(a, torch.Tensor):
        assert a.dtype == b.dtype
        assert torch.equal(a, b)
    else:
        assert a == b


def as_alone(found: dict[str, Any], wanted: dict[str, Any]) -> None:
    """Supports and indices are the same; values but for the order of sums."""
    assert found["meta"] == wanted["meta"]
    for name, code in wanted["codes"].items():
        if code["form"] == "sparse":
            assert torch.equal(found["codes"][name]["grid"], code["grid"]), name
            assert found["codes"][name]["unit"] == code["unit"]
        inner, own = code.get("inner", code), found["codes"][name].get("inner", found["codes"][name])
        if inner["form"] == "indexed":
            assert torch.equal(own["index"], inner["index"]), name
            assert torch.equal(own["counts"], inner["counts"])
    for name, tensor in wanted["state"].items():
        torch.testing.assert_close(found["state"][name], tensor, rtol=1e-4, atol=1e-6)


def check(n: int, work: list[tuple[str, str]], folder: Path) -> None:
    jobs = [(kind, plan, folder / f"{kind}-{plan}.tight") for kind, plan in work]
    found = in_processes(n, several, jobs)
    for i, (kind, plan, file) in enumerate(jobs):
        for rank in range(n):
            result = found[rank][i]
            same_bits({**result, "local": 0}, {**found[0][i], "local": 0})
        as_alone(found[0][i], alone(plan))
        same_bits(dict(tt.Artifact.open(file).state_dict()), found[0][i]["state"])
        every = sum(t.numel() for name, t in found[0][i]["state"].items() if "running" not in name) - 1
        if kind == "fsdp":
            assert sum(found[rank][i]["local"] for rank in range(n)) == every


def test_two_processes(tmp_path: Path) -> None:
    """Those of DDP carry out a recipe in test_program.py."""
    check(2, [("fsdp", "prune"), ("fsdp", "levels")], tmp_path)


@pytest.mark.slow
def test_two_processes_and_every_plan(tmp_path: Path) -> None:
    check(2, [(kind, plan) for kind in ("ddp", "fsdp") for plan in PLANS], tmp_path)


@pytest.mark.slow
def test_a_checkpoint_moves_between_numbers_of_processes() -> None:
    """Written by two and read by one, and the other way round, in the middle of a stage."""
    plans = [
        (plan, stop)
        for plan, stop in (
            ("prune", 4),
            ("prune", 11),
            ("levels", 4),
            ("levels", 8),
            ("straight", 7),
            ("feedback", 5),
        )
    ]
    two = in_processes(2, several, [("fsdp", plan, None, stop) for plan, stop in plans])
    one = [carry_out("one", plan, None, stop) for plan, stop in plans]
    for (plan, _), parts in zip(plans, two[0], strict=True):
        as_alone(carry_out("one", plan, None, 10**9, parts["checkpoint"]), alone(plan))
    again = [("fsdp", plan, None, 10**9, w["checkpoint"]) for (plan, _), w in zip(plans, one, strict=True)]
    for (plan, _), found in zip(plans, in_processes(2, several, again)[1], strict=True):
        as_alone(found, alone(plan))


@pytest.mark.slow
def test_four_processes(tmp_path: Path) -> None:
    check(4, [(kind, plan) for kind in ("ddp", "fsdp", "hsdp") for plan in PLANS], tmp_path)
