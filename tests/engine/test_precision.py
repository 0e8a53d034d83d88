"""Precision: a choice stands, "auto" asks the device."""

import pytest
import torch

from tighten.engine.precision import fast_bf16, resolve

CPU = torch.device("cpu")


def cpu_with(monkeypatch, amx, avx512):
    for name, answer in (("_is_amx_tile_supported", amx), ("_is_avx512_bf16_supported", avx512)):
        monkeypatch.setattr(torch.cpu, name, lambda answer=answer: answer, raising=False)


@pytest.mark.parametrize("fast", [False, True])
def test_an_explicit_choice_stands(monkeypatch, fast):
    cpu_with(monkeypatch, fast, fast)
    assert resolve("bf16", CPU) == "bf16"
    assert resolve("fp32", CPU) == "fp32"


@pytest.mark.parametrize(
    ("amx", "avx512", "expected"),
    [(False, False, "fp32"), (True, False, "bf16"), (False, True, "bf16"), (True, True, "bf16")],
)
def test_auto_is_bf16_where_the_processor_has_it(monkeypatch, amx, avx512, expected):
    cpu_with(monkeypatch, amx, avx512)
    assert resolve("auto", CPU) == expected


def test_a_torch_without_the_queries_means_fp32(monkeypatch):
    for name in ("_is_amx_tile_supported", "_is_avx512_bf16_supported"):
        monkeypatch.delattr(torch.cpu, name, raising=False)
    assert resolve("auto", CPU) == "fp32"


@pytest.mark.parametrize("native", [False, True])
def test_a_gpu_that_emulates_bf16_is_not_fast(monkeypatch, native):
    # With emulation counted, torch says yes on any GPU.
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: including_emulation or native)
    assert fast_bf16(torch.device("cuda")) is native


def test_other_devices_compute_in_float32():
    assert resolve("auto", torch.device("mps")) == "fp32"
