"""Short measurements of things that are to be compared."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

import torch

# Rounds that always count, and the number after which more would not change the choice.
_FEWEST, _MOST = 2, 100
# Whatever is slower than this many times the best in the first round will not win; the second figure is for runs that
# are so long that one says enough.
_HOPELESS, _HOPELESS_IF_LONG = 4.0, 1.5
# The shortest turn, in seconds, and how many turns are to fit into the time. In a turn one runs again and again, with
# its own data in the caches, as in use.
_TURN, _TURNS = 0.01, 10


def race(runners: Mapping[str, Callable[[], object]], seconds: float) -> dict[str, float]:
    """Microseconds of each, measured in turn, round after round, so that a change of speed hits all alike.

    Definition: the lower quartile of all runs. Other work on the machine only ever makes a run slower. With one
    thread it is the time that the thread computed, which does not count when others had the processor.

    Args:
        runners: what to measure. Those that are far slower than the best drop out early.
        seconds: how long to measure. The first round is for warming up, and two more are run in any case; one where
            the first has already taken that long.
    """
    start = time.perf_counter()
    times = {name: [_timed(run)] for name, run in runners.items()}
    long = time.perf_counter() - start > seconds
    turn = max(_TURN, seconds / (_TURNS * len(runners)))
    if not long:
        times = {name: _turn(run, turn) for name, run in runners.items()}
    best = min(map(min, times.values()))
    hopeless = best * (_HOPELESS_IF_LONG if long else _HOPELESS)
    running = {name: run for name, run in runners.items() if min(times[name]) <= hopeless}
    times.update({name: [] for name in running})
    for done in range(1, _MOST + 1):
        for name, run in running.items():
            times[name] += [_timed(run)] if long else _turn(run, turn)
        if done >= (1 if long else _FEWEST) and time.perf_counter() - start > seconds:
            break
    return {name: 1e6 * sorted(taken)[len(taken) // 4] for name, taken in times.items()}


def _turn(run: Callable[[], object], length: float) -> list[float]:
    """Seconds of runs that follow each other."""
    start = time.perf_counter()
    taken: list[float] = []
    while not taken or time.perf_counter() - start < length:
        taken.append(_timed(run))
    return taken


def _timed(run: Callable[[], object]) -> float:
    now = time.thread_time if torch.get_num_threads() == 1 else time.perf_counter
    start = now()
    run()
    return now() - start
