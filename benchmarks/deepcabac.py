"""DeepCABAC, by the package `nncodec`, which pins an old numpy and so lives in an environment of its own.

It gets the best of its options, tensor by tensor: unary length, parameter optimisation, scan order, row skipping,
codebook, and the transposed matrix. Of tensors of more than 2^20 entries only the unary length is tried.
"""

import json
import math
import subprocess
import tempfile
import venv
from pathlib import Path

import numpy as np

from tighten.codecs.values import Table
from tighten.codes import Code, Indexed, Sparse

OTHER = """
import json, sys
import numpy as np
from nncodec.extensions import deepCABAC
from nncodec.nnc_core.hdsp.hdsp_tool import HDSP_OPTS_OFF
best = {}
for name, grid in np.load(sys.argv[1]).items():
    sizes, levels, low = [], int(grid.max() - grid.min() + 1), -int(grid.min())
    large = grid.size > 2**20  # all options would take an hour
    for matrix in (grid,) if large else (grid, grid.T):
        matrix = np.ascontiguousarray(matrix, dtype=np.int32)
        empty = (~matrix.any(axis=1)).astype(np.int32)
        for optimised in (1,) if large else (0, 1):
            for unary in (1, 2, 4, 10):
                ways = [(scan, 0, 0, 0) for scan in range(5)]
                ways = ways[:1] if large else ways
                ways += [] if large else [(0, skip, *book) for skip in (0, 1) for book in ((0, 0), (levels, low))]
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
