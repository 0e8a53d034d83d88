from __future__ import annotations

import time

import pytest
import torch

from tighten.runtime.clock import race


@pytest.fixture(params=[1, 2])
def threads(request):
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


def busy(steps: int) -> None:
    sum(range(steps))


def test_the_quicker_is_found(threads):
    times = race({"slow": lambda: busy(1_000_000), "quick": lambda: busy(100)}, 0.2)
    assert times["quick"] < times["slow"]


def test_what_is_hopeless_is_run_little():
    runs = {"quick": 0, "hopeless": 0}

    def run(name: str, steps: int) -> None:
        runs[name] += 1
        busy(steps)

    times = race({"quick": lambda: run("quick", 1000), "hopeless": lambda: run("hopeless", 1_000_000)}, 0.1)
    assert runs["hopeless"] == 2  # the first, and the one of the warming round
    assert runs["quick"] > 3
    assert times["hopeless"] > 4 * times["quick"]


def test_it_ends_in_time():
    start = time.perf_counter()
    race({"one": lambda: busy(100), "two": lambda: busy(100)}, 0.05)
    assert time.perf_counter() - start < 20


def test_one_thread_does_not_count_waiting():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        times = race({"waits": lambda: time.sleep(0.02), "works": lambda: busy(1000)}, 0.05)
    finally:
        torch.set_num_threads(before)
    assert times["waits"] < 5000


def test_long_runs_are_not_repeated():
    runs = {"quick": 0, "slow": 0}

    def run(name: str, steps: int) -> None:
        runs[name] += 1
        busy(steps)

    lengths = {"quick": 1_000_000, "slow": 20_000_000}
    times = race({name: lambda name=name: run(name, lengths[name]) for name in runs}, 0.01)
    assert runs == {"quick": 2, "slow": 1}
    assert times["quick"] < times["slow"]
