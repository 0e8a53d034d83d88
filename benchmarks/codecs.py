#!/usr/bin/env python3
"""The weights of the committed networks in bytes: ours beside other codes, all of one run.

    python benchmarks/codecs.py [--environment DIR] [--resnet20 NPZ] [--json JSON] [FILE ...]

DeepCABAC comes from the package `nncodec`, which pins an old numpy: it is installed into an environment, DIR, on the
first run (with torch: gigabytes). Without `--environment` it is left out. It gets the best of its options, layer by
layer: unary length, parameter optimisation, scan order, row skipping, codebook, and the transposed matrix. Values that
are floats count four bytes each in all columns but ours. "Ideal" is the code length of our own model: the sum of
-log2 p, as the range coder's interval shrinks.

Without FILE: all committed networks, drawn tensors, and, given its weights, ResNet-20 pruned 20 times by magnitude,
at 4 bits.
"""

import argparse
import json
import lzma
import math
import zlib
from pathlib import Path

import numpy as np
import torch
from deepcabac import deepcabac, grid

from tighten.artifact import Artifact
from tighten.codecs import form
from tighten.codecs.stream import Writer
from tighten.codes import Code
from tighten.sets import Sparse as Support
from tighten.sets import Uniform

RESULTS = Path(__file__).parents[1] / "results"


def entropy(symbols: np.ndarray) -> float:
    """Bits of the symbols by their frequencies, which are given away."""
    many = np.unique(symbols, return_counts=True)[1]
    return float((many * np.log2(many.sum() / many)).sum())


def relative(matrix: np.ndarray, bits: int, value_bits: int) -> float:
    """Bits with an index relative to the entry before, of so many bits; longer gaps take entries of zero."""
    gaps = np.diff(np.flatnonzero(matrix), prepend=-1) - 1
    return float((len(gaps) + (gaps // 2**bits).sum()) * (bits + value_bits))


def others(matrix: np.ndarray) -> dict[str, float]:
    """Bytes by the codes that are written down in a few lines."""
    kept = matrix[matrix != 0]
    value_bits = max(1, math.ceil(math.log2(len(np.unique(kept))))) if len(np.unique(kept)) > 1 else 0
    dense = matrix.astype(np.int8).tobytes()
    gaps = np.diff(np.flatnonzero(matrix), prepend=-1)
    column_bits = math.ceil(math.log2(matrix.shape[1]))
    row_bits = math.ceil(math.log2(len(kept) + 1))
    bits = {
        "bitmask": matrix.size + len(kept) * value_bits,
        "CSR": len(kept) * (column_bits + value_bits) + (matrix.shape[0] + 1) * row_bits,
        **{f"relative {n}": relative(matrix, n, value_bits) for n in (4, 5, 8)},
        "zlib": 8 * len(zlib.compress(dense, 9)),
        "xz": 8 * len(lzma.compress(dense, preset=9 | lzma.PRESET_EXTREME)),
        "gap entropy": entropy(gaps) + entropy(kept),
    }
    try:
        import zstandard

        bits["zstd"] = 8 * len(zstandard.ZstdCompressor(level=22).compress(dense))
    except ImportError:
        pass
    return {name: value / 8 for name, value in bits.items()}


def ideal(codes: dict[str, Code]) -> tuple[float, int]:
    """Bytes by the probabilities of our model, and as they are written."""
    writer = Writer()
    for name, code in codes.items():
        form.code(writer, code, name)
    return writer.cost() / 8, sum(map(len, writer.finish()))


def drawn() -> dict[str, dict[str, Code]]:
    """Tensors about which all is known: levels drawn evenly, in rows and columns used unevenly, and of low rank."""
    draw = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=draw)

    sets = Support(density=0.05) & Uniform(bits=4, zero=False)
    uneven = normal(256, 400) * torch.exp(normal(256, 1) / 2) * torch.exp(normal(400) / 2)
    return {
        "even, 5 %, 4 bits": {"w": sets.fit(normal(256, 400))},
        "uneven, 5 %, 4 bits": {"w": sets.fit(uneven)},
        "dense, 4 bits": {"w": Uniform(bits=4).fit(normal(256, 400))},
        "low rank, 2 bits": {"w": Uniform(bits=2).fit(normal(256, 4) @ normal(4, 400) + normal(256, 400))},
    }


def resnet20(weights: Path) -> dict[str, Code]:
    """Its weights, the largest twentieth of all of them, each tensor on 16 levels."""
    tensors = {name: torch.from_numpy(value) for name, value in np.load(weights).items() if value.ndim > 1}
    sizes = torch.cat([value.abs().reshape(-1) for value in tensors.values()])
    least = sizes.sort(descending=True).values[len(sizes) // 20]
    counts = {name: max(1, int((value.abs() > least).sum())) for name, value in tensors.items()}
    return {
        name: (Support(count=counts[name]) & Uniform(bits=4, zero=False)).fit(value) for name, value in tensors.items()
    }


def compare(name: str, codes: dict[str, Code], environment: Path | None) -> dict[str, float]:
    """Bytes of the weights: ours, as they are written alone and how far that is above ideal, and by other codes."""
    sizes = Artifact(codes, {}, tuple(codes), {}, {}).sizes()
    ours = sizes.positions + sizes.values
    grids = {key: grid(code) for key, code in codes.items()}
    floats = sum(size for _, size in grids.values())
    columns: dict[str, float] = {}
    for matrix, _ in grids.values():
        for other, size in others(matrix).items():
            columns[other] = columns.get(other, 0) + size
    if environment:
        columns["DeepCABAC"] = deepcabac({key: matrix for key, (matrix, _) in grids.items()}, environment)
    length, written = ideal(codes)
    print(f"{name}: ours {ours} bytes of weights; written {written}, {written / length - 1:+.2%} of ideal", flush=True)
    for other, size in columns.items():
        print(f"  {other:12} {size + floats:10.0f}   ours is {ours / (size + floats):.3f} of it", flush=True)
    row = {"ours": ours, "written alone": written, "above ideal": round(written / length - 1, 4)}
    return row | {other: round(size + floats) for other, size in columns.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", type=Path)
    parser.add_argument("--environment", type=Path)
    parser.add_argument("--resnet20", type=Path)
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    cases = {path.stem: Artifact.open(path).codes for path in chosen.files or sorted(RESULTS.glob("*/*.tight"))}
    if not chosen.files:
        cases |= drawn()
    if chosen.resnet20:
        cases["ResNet-20, 20x by magnitude, 4 bits"] = resnet20(chosen.resnet20)
    rows = {name: compare(name, codes, chosen.environment) for name, codes in cases.items()}
    if chosen.json:
        chosen.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
