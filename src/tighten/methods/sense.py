"""What methods learn of the loss while they train: how large its gradients are on what each site keeps."""

from __future__ import annotations

import math

import torch

from tighten.methods.base import Problem, State
from tighten.methods.hold import keep
from tighten.sets.part import total

SENSE_EVERY = 4
"""Steps between two looks at the gradients."""
MEMORY = 0.96
"""What is left of the running average at each look: about a hundred steps are remembered."""


def sense(problem: Problem, state: State) -> None:
    """The squared gradients of the loss, averaged into the state now and then; a pull is taken off again."""
    if state.step % SENSE_EVERY or not any(s.is_open for s in problem.sets.values()):
        return
    weights, gradients = problem.weights(), problem.gradients()
    for name, kept in state.masks().items():
        if name not in gradients:
            continue
        of_loss = gradients[name].clone()
        if name in state.targets:
            of_loss -= state.rho * (weights[name] - state.targets[name])
        keep(of_loss, kept)
        sums = torch.stack([of_loss.square_().sum().double(), kept.count_nonzero().double()])
        squares, count = total(problem.parts.get(name), sums).tolist()
        mean = squares / max(1, count)
        if math.isfinite(mean):
            before = state.squared_gradients.get(name, mean)
            state.squared_gradients[name] = MEMORY * before + (1 - MEMORY) * mean
