"""An environment for each rival that needs packages of its own, made on first use and kept."""

import subprocess
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CONSTRAINTS = ROOT / "constraints.txt"
NNI_NEEDS = [
    "torch", "numpy", "astor==0.8.1", "cloudpickle", "colorama", "json_tricks==3.17.3", "prettytable==3.18.0",
    "psutil", "PyYAML", "requests", "schema==0.7.8", "tensorboard", "typeguard==4.6.1",
]  # fmt: skip
"""What its pruners import; all of its dependencies no longer install."""
PACKAGES: dict[str, list[list[str]]] = {
    "torchao": [["torch", "numpy", "torchao==0.18.0"]],
    "nni": [NNI_NEEDS, ["--no-deps", "nni==2.10.1"]],
    "nncf": [["torch", "nncf==3.4.0"]],
    "pquant": [["torch", "pquant-ml==0.1.0"]],
    "brevitas": [["torch", "brevitas==0.13.4"]],
    "deepcabac": [["torch", "numpy<2", "nncodec==2.1.3"]],
}
"""By environment, the arguments of one `pip install` after the other."""
OWN_VERSIONS = {"nncf", "pquant", "deepcabac"}
"""Whose dependencies contradict the project's: of its constraints, only the version of torch is kept to."""


def python_of(name: str, folder: Path) -> Path:
    """The interpreter of an environment.

    Raises:
        subprocess.CalledProcessError: it cannot be installed; what pip said is in `stderr`.
    """
    python, stamp = folder / name / "bin" / "python", folder / name / "installed"
    if not stamp.exists():
        venv.create(folder / name, with_pip=True, clear=True)
        for arguments in PACKAGES[name]:
            command = [str(python), "-m", "pip", "install", "--quiet", "-c", str(constraints(name, folder)), *arguments]
            subprocess.run(command, check=True, capture_output=True, text=True)
        stamp.touch()
    return python


def constraints(name: str, folder: Path) -> Path:
    """The file that pins what may be pinned."""
    if name not in OWN_VERSIONS:
        return CONSTRAINTS
    path = folder / "torch.txt"
    path.write_text("".join(line for line in CONSTRAINTS.read_text().splitlines(True) if line.startswith("torch==")))
    return path
