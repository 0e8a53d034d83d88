"""Carries out a run, or goes on with it, in a child process for each line on standard input, and tells its number.

A line is `FOLDER` or `FOLDER N`: with a number the child kills itself at its N-th step of writing a file, of which
there are two before each file is in its place.
"""

import importlib
import os
import signal
import sys
import traceback
from pathlib import Path

import torch

from tighten.engine import run
from tighten.recipes import parse

RECIPE = """
name = "tiny"
model = "tighten.zoo:DigitsNet"
data = "tighten.data:digits"
validation = 800
batch_size = 64
precision = "fp32"
augment = [{ name = "Shift", pixels = 1, per = "sample" }]
[dense]
epochs = 1
learning_rate = 2e-3
[[stages]]
epochs = 2
learning_rate = 2e-3
method = { name = "Admm", rho = 1e-2, rho_end = 1e-1 }
budget = { rate = 5 }
sets = { "*" = { name = "Sparse" } }
distill = { weight = 0.5 }
[[stages]]
epochs = 3
learning_rate = 2e-3
average = 0.6
method = { name = "Masked" }
[[stages]]
epochs = 2
learning_rate = 1e-3
method = { name = "Freeze", passes = 2 }
sets = { "conv*" = { name = "Uniform", bits = 3, zero = false } }
"""


def carry_out(folder):
    run(parse(RECIPE, "test"), RECIPE, folder, resume=True)


def kill_at(number):
    """This process killed at its n-th flush of a file to the disk or replacement of one."""
    left = number

    def counted(function):
        def instead(*args):
            nonlocal left
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*args)

        return instead

    os.fsync, os.replace = counted(os.fsync), counted(os.replace)


def main():
    torch.set_num_threads(1)
    # What a run imports late is imported once for all children.
    importlib.import_module("torch._dynamo")
    importlib.import_module("matplotlib.figure")
    for line in sys.stdin:
        folder, _, number = line.strip().partition(" ")
        child = os.fork()
        if child == 0:
            sys.stdout = open(os.devnull, "w")  # noqa: SIM115
            if number:
                kill_at(int(number))
            code = 1
            try:
                carry_out(Path(folder))
                code = 0
            except Exception:
                traceback.print_exc()
            os._exit(code)
        sys.stdout.write(f"{child}\n")
        sys.stdout.flush()
        _, status = os.waitpid(child, 0)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
