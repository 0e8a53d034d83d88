"""Second thoughts: kernels that were nearly as fast alone, tried in the whole network."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from torch import fx

from tighten.runtime.choose import Chooser
from tighten.runtime.clock import race

# A rival must be this much better in the whole network.
_BETTER = 0.98
_TRIAL = 0.1


def refine(network: fx.GraphModule, chooser: Chooser, inputs: tuple[Any, ...], seconds: float) -> fx.GraphModule:
    """The network with those rivals that make it faster as a whole.

    A kernel is measured alone with warm caches, and it decides the memory order that the next layer gets; both differ
    in the network.

    Args:
        network: with the kernels that were fastest alone.
        chooser: which made it; its reports are kept true.
        inputs: what the network is run on.
        seconds: after which no other rival is tried.
    """
    start = time.perf_counter()
    heaviest = sorted(chooser.rivals, key=lambda name: -(chooser.layers[name].chosen_us or 0.0))
    for name, key in [(layer, key) for layer in heaviest for key in chooser.rivals[layer]]:
        if time.perf_counter() - start > seconds:
            break
        kernel, kernel_us = chooser.rivals[name][key]
        rival = fx.GraphModule(network, network.graph)
        rival.set_submodule(name, kernel)
        times = race({"now": _runner(network, inputs), "rival": _runner(rival, inputs)}, _TRIAL)
        if times["rival"] < _BETTER * times["now"]:
            network = rival
            chooser.layers[name] = replace(chooser.layers[name], kernel=key, chosen_us=kernel_us)
    return network


def _runner(network: fx.GraphModule, inputs: tuple[Any, ...]) -> Callable[[], object]:
    return lambda: network(*inputs)
