#!/usr/bin/env python3
"""Exact projection on a support beside `torch.topk` and `torch.kthvalue`, on the same tensor.

    python benchmarks/projection.py [--entries 25000000 100000000] [--threads 1] [--rounds 3] [--json FILE]

Each way gives the bool mask of the `k` largest magnitudes of a normal draw, which must be the same;
`torch.kthvalue` gives the threshold, and the mask is the comparison with it. Rounds take turns; the ratio is
that of the best times.
"""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from tighten.engine.provenance import processor
from tighten.sets.top_k import top_k


def by_topk(sizes: Tensor, k: int) -> Tensor:
    mask = torch.zeros(sizes.shape, dtype=torch.bool, device=sizes.device)
    mask[sizes.topk(k, sorted=False).indices] = True
    return mask


def by_kthvalue(sizes: Tensor, k: int) -> Tensor:
    return sizes >= sizes.kthvalue(sizes.numel() - k + 1).values


def seconds(way: Callable[[Tensor, int], Tensor], sizes: Tensor, k: int) -> tuple[float, Tensor]:
    if sizes.is_cuda:
        torch.cuda.synchronize()
    start = time.perf_counter()
    mask = way(sizes, k)
    if sizes.is_cuda:
        torch.cuda.synchronize()
    return time.perf_counter() - start, mask


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--entries", type=int, nargs="+", default=[25_000_000, 100_000_000])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--json", type=Path, help="where the figures are written, too")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    found = []
    ways = {"tighten": top_k, "topk": by_topk, "kthvalue": by_kthvalue}
    for n in args.entries:
        sizes = torch.randn(n, generator=torch.Generator().manual_seed(0)).abs_().to(args.device)
        for rate in (4, 36, 246):
            best: dict[str, float] = {}
            for _ in range(args.rounds):
                masks = {}
                for name, way in ways.items():
                    took, masks[name] = seconds(way, sizes, n // rate)
                    best[name] = min(took, best.get(name, took))
                assert int(masks["tighten"].count_nonzero()) == n // rate
                # Among equal magnitudes topk may choose others.
                assert float(sizes[masks["tighten"] != masks["topk"]].sum()) == 0 or torch.equal(
                    sizes[masks["tighten"]].sort().values, sizes[masks["topk"]].sort().values
                )
            faster = min(best["topk"], best["kthvalue"])
            times = ", ".join(f"{name} {1e3 * took:.0f} ms" for name, took in best.items())
            print(f"{n:>11,} entries, density 1/{rate}: {faster / best['tighten']:.1f}x ({times})", flush=True)
            rounded = {f"{name}_seconds": round(took, 4) for name, took in best.items()}
            found.append({"entries": n, "density": f"1/{rate}", "ratio": round(faster / best["tighten"], 2), **rounded})
    if args.json is not None:
        facts = {"torch": torch.__version__, "processor": processor(), "device": args.device, "threads": args.threads}
        args.json.write_text(json.dumps({**facts, "rows": found}, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
