#!/usr/bin/env python3
"""The weights of the committed networks in bytes: ours beside other codes, all of one run.

    python benchmarks/codecs.py [--environment DIR] [FILE ...]

DeepCABAC comes from the package `nncodec`, which pins an old numpy: it is installed into an environment, DIR, on the
first run (with torch: gigabytes). Without `--environment` it is left out. It gets the best of its options, layer by
layer: unary length, parameter optimisation, scan order, row skipping, codebook, and the transposed matrix. Values that
are floats count four bytes each in all columns but ours.
"""

import argparse
import json
import lzma
import math
import subprocess
import tempfile
import venv
import zlib
from pathlib import Path

import numpy as np

from tighten.artifact import Artifact
from tighten.codecs.values import Table
from tighten.codes import Code, Indexed, Sparse

RESULTS = Path(__file__).parents[1] / "results"
OTHER = """
import json, sys
import numpy as np
from nncodec.extensions import deepCABAC
from nncodec.nnc_core.hdsp.hdsp_tool import HDSP_OPTS_OFF
best = {}
for name, grid in np.load(sys.argv[1]).items():
    sizes, levels, low = [], int(grid.max() - grid.min() + 1), -int(grid.min())
    for matrix in (grid, grid.T):
        matrix = np.ascontiguousarray(matrix, dtype=np.int32)
        empty = (~matrix.any(axis=1)).astype(np.int32)
        for optimised in (0, 1):
            for unary in (1, 2, 4, 10):
                ways = [(scan, 0, 0, 0) for scan in range(5)]
                ways += [(0, skip, *book) for skip in (0, 1) for book in ((0, 0), (levels, low))]
                for scan, skip, size, offset in ways:
                    coder = deepCABAC.Encoder()
                    coder.initCtxModels(unary, optimised)
                    profile = int(skip or size > 0)
                    coder.encodeLayer(matrix, 0, scan, profile, 0, skip, empty * skip, *HDSP_OPTS_OFF(), size, offset)
                    sizes.append(len(coder.finish()))
    best[name] = min(sizes)
print(json.dumps(best))
"""


def grid(code: Code) -> tuple[np.ndarray, int]:
    """The signed levels as a matrix, and the bytes of values that are not levels."""
    inner = code.inner if isinstance(code, Sparse) else code
    assert isinstance(inner, Indexed) or isinstance(code, Sparse)
    out, floats = np.zeros(math.prod(code.shape), dtype=np.int32), 0
    kept = code.support.reshape(-1).numpy() if isinstance(code, Sparse) else np.ones(len(out), dtype=bool)
    if isinstance(inner, Indexed):
        table = Table(inner.steps, inner.scale)
        places = table.places(inner.index.reshape(-1).long().numpy())
        out[kept] = places if isinstance(code, Sparse) or table.has_zero else inner.index.reshape(-1).numpy()
    else:
        out[kept], floats = 1, 4 * int(kept.sum())
    return out.reshape(code.shape[0], -1), floats


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


def deepcabac(grids: dict[str, np.ndarray], environment: Path) -> int:
    """Bytes by DeepCABAC."""
    python = environment / "bin" / "python"
    if not python.exists():
        venv.create(environment, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", "nncodec"], check=True)
    with tempfile.TemporaryDirectory() as folder:
        np.savez(Path(folder) / "grids.npz", **grids)
        command = [str(python), "-c", OTHER, str(Path(folder) / "grids.npz")]
        told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return sum(json.loads(told).values())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", type=Path)
    parser.add_argument("--environment", type=Path)
    chosen = parser.parse_args()
    for path in chosen.files or sorted(RESULTS.glob("*/*.tight")):
        artifact = Artifact.open(path)
        sizes = artifact.sizes()
        ours = sizes.positions + sizes.values
        grids = {name: grid(code) for name, code in artifact.codes.items()}
        floats = sum(size for _, size in grids.values())
        columns: dict[str, float] = {}
        for matrix, _ in grids.values():
            for name, size in others(matrix).items():
                columns[name] = columns.get(name, 0) + size
        if chosen.environment:
            columns["DeepCABAC"] = deepcabac({name: matrix for name, (matrix, _) in grids.items()}, chosen.environment)
        print(f"{path.stem}: ours {ours} bytes of weights, file {sizes.total}")
        for name, size in columns.items():
            print(f"  {name:12} {size + floats:10.0f}   ours is {ours / (size + floats):.3f} of it")


if __name__ == "__main__":
    main()
