"""The number format that a network computes in while it trains."""

from __future__ import annotations

from typing import Literal, TypeAlias

import torch

Precision: TypeAlias = Literal["fp32", "bf16"]


def resolve(choice: Literal["auto", "fp32", "bf16"], device: torch.device) -> Precision:
    """What a recipe's choice means on this device: "auto" is bf16 where that is fast, else fp32."""
    if choice != "auto":
        return choice
    return "bf16" if fast_bf16(device) else "fp32"


def fast_bf16(device: torch.device) -> bool:
    """Whether the device multiplies bfloat16 in hardware; elsewhere it is emulated, slower than float32."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type == "cpu":
        # Private names, which some versions and builds of torch lack.
        queries = (getattr(torch.cpu, name, None) for name in ("_is_amx_tile_supported", "_is_avx512_bf16_supported"))
        return any(query() for query in queries if query is not None)
    return False
