"""The picture of the idea: ADMM on two weights, with the set and the method's own updates.

python docs/pictures/idea.py [FILE]
"""

import sys
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure

import tighten as tt

OPTIMUM = torch.tensor([1.0, 1.25])
CURVATURE = torch.tensor([[3.2, 1.1], [1.1, 0.9]])
SET = tt.Sparse(count=1)
RHO, GROWTH, UPDATES, STEPS = 0.05, 1.25, 22, 40


def loss(w: torch.Tensor) -> torch.Tensor:
    """A quadratic whose valley is narrow along the first weight."""
    d = w - OPTIMUM
    return torch.einsum("...i,ij,...j->...", d, CURVATURE, d) / 2


def admm() -> tuple[torch.Tensor, torch.Tensor]:
    """The way of W, step by step, and Z at each update."""
    w, u, rho = OPTIMUM.clone(), torch.zeros(2), RHO
    way, points = [w.clone()], []
    for _ in range(UPDATES):
        z = SET.project(w + u)
        u = (u + w - z) / GROWTH
        rho *= GROWTH
        points.append(z)
        for _ in range(STEPS):
            w = w - 0.1 / (1 + rho) * (CURVATURE @ (w - OPTIMUM) + rho * (w - z + u))
        way.append(w.clone())
    return torch.stack(way), torch.stack(points)


def draw(path: Path) -> None:
    """The picture, as a file."""
    figure = Figure(figsize=(7, 4.6))
    axes = figure.add_subplot()
    x, y = np.meshgrid(np.linspace(-0.45, 2.1, 90), np.linspace(-0.45, 3.1, 90))
    grid = loss(torch.from_numpy(np.stack([x, y], -1)).float()).numpy()
    axes.contour(x, y, grid, levels=np.geomspace(0.02, 8, 11), colors="#9aa3ae", linewidths=0.7)
    for line in (axes.axhline, axes.axvline):
        line(0, color="#0b7285", linewidth=3, alpha=0.45)
    way, points = admm()
    rounded = SET.project(OPTIMUM)
    axes.plot(*way.T, color="#d9480f", linewidth=1.5, marker=".", markersize=4, label="W, drawn by ADMM")
    axes.plot(*points.T, "o", color="#0b7285", markersize=4, label="Z, its projections")
    axes.plot(*OPTIMUM, "P", color="#1f2430", markersize=10, label="dense optimum")
    axes.plot(*rounded, "s", color="#6741d9", markersize=9, label=f"rounded: loss {float(loss(rounded)):.2f}")
    axes.plot(*points[-1], "o", mfc="none", color="#d9480f", markersize=13, mew=2,
              label=f"ADMM: loss {float(loss(points[-1])):.2f}")  # fmt: skip
    axes.set_xlabel("first weight")
    axes.set_ylabel("second weight")
    axes.annotate("the set: one weight is zero", (2.05, -0.2), ha="right", color="#0b7285")
    axes.legend(loc="upper right", frameon=True, fontsize=8)
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None, "Creator": None} if path.suffix == ".svg" else None)


if __name__ == "__main__":
    draw(Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).with_suffix(".svg")))
