"""The program as a user meets it: its output, its errors, its exit code."""

from __future__ import annotations

import contextlib
import importlib
import io
import os
import subprocess
import sys
from pathlib import Path
from unittest import mock

import torch
from accelerate import Accelerator

from tighten.cli import main

SCREEN = {"COLUMNS": "160", "OMP_NUM_THREADS": "1"}


def tighten(*args: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    """What `tighten ARGS` prints and ends with; carried out in this process, which need not load PyTorch again."""
    words, out, err = ["tighten", *map(str, args)], io.StringIO(), io.StringIO()
    with contextlib.ExitStack() as around:
        around.enter_context(contextlib.chdir(cwd))
        around.enter_context(mock.patch.dict(os.environ, SCREEN))
        around.enter_context(mock.patch.object(sys, "argv", words))
        around.enter_context(mock.patch.object(sys, "path", list(sys.path)))
        around.callback(torch.set_num_threads, torch.get_num_threads())
        around.callback(forget, cwd)
        around.enter_context(contextlib.redirect_stdout(out))
        around.enter_context(contextlib.redirect_stderr(err))
        Accelerator(cpu=True).state._reset_state(reset_partial_state=True)
        try:
            main()
        except SystemExit as end:
            return subprocess.CompletedProcess(words, end.code or 0, out.getvalue(), err.getvalue())
    raise AssertionError("the program did not end as programs do")


def forget(folder: Path) -> None:
    """Modules of the working folder are imported again by the next call."""
    for name, module in list(sys.modules.items()):
        if Path(getattr(module, "__file__", None) or "/").is_relative_to(folder):
            del sys.modules[name]
    importlib.invalidate_caches()


def process(*args: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    """The same in a process of its own, as a shell starts it."""
    command = [sys.executable, "-m", "tighten", *map(str, args)]
    return subprocess.run(
        command, cwd=cwd, env={**os.environ, **SCREEN}, capture_output=True, text=True, timeout=120, check=False
    )


def refused(done: subprocess.CompletedProcess[str]) -> str:
    """The one line of a program that refuses its input."""
    assert done.returncode == 2, (done.stdout, done.stderr)
    assert "Traceback" not in done.stdout + done.stderr
    assert done.stderr.startswith("error: ")
    assert len(done.stderr.strip().splitlines()) == 1
    return done.stderr
