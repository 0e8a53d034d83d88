from __future__ import annotations

import subprocess
import sys

import pytest

from tighten.errors import DataError
from tighten.torchvision_ops import import_torchvision


def in_a_new_process(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_models_and_transforms_work_after_the_import() -> None:
    out = in_a_new_process(
        "from tighten.torchvision_ops import import_torchvision\n"
        "tv = import_torchvision()\n"
        "assert import_torchvision() is tv\n"
        "import torch, torchvision\n"
        "from torchvision.transforms import v2\n"
        "assert torchvision is tv\n"
        "net = torchvision.models.squeezenet1_1()\n"
        "picture = v2.RandomCrop(64, padding=2)(torch.zeros(1, 3, 64, 64))\n"
        "print(tuple(net(picture).shape), torchvision.datasets.MNIST.__name__)\n"
    )
    assert out.strip() == "(1, 1000) MNIST"


def test_working_torchvision_is_left_alone() -> None:
    out = in_a_new_process(
        "import sys, types\n"
        "sys.modules['torchvision'] = working = types.ModuleType('torchvision')\n"
        "from tighten import torchvision_ops\n"
        "assert torchvision_ops.import_torchvision() is working\n"
        "print(torchvision_ops._declare_operators.cache_info().currsize)\n"
    )
    assert out.strip() == "0"


def test_missing_torchvision_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    import_torchvision.cache_clear()
    monkeypatch.setitem(sys.modules, "torchvision", None)
    with pytest.raises(DataError, match=r"pip install 'tighten\[vision\]'"):
        import_torchvision()
