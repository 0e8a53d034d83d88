"""Rows of the contest, who takes part in them with which settings, and in which order."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tighten.recipes import load

EPOCHS = 20
SEEDS = (0, 1, 2)
RECIPES = {
    "pruned": "lenet5-mnist",
    "binary": "lenet5-mnist-binary",
    "ternary": "lenet5-mnist-ternary",
    "joint": "lenet5-mnist-joint",
}
"""The shipped recipe of each kind of row; its loss is everybody's."""


@dataclass(frozen=True)
class Row:
    """What is asked for.

    Args:
        kind: "pruned", "binary", "ternary" or "joint".
        rate: all weights over kept ones; 1 where nothing is pruned.
        seeds: how many.
    """

    kind: str
    rate: float = 1
    seeds: int = 1

    @property
    def name(self) -> str:
        return f"{self.rate:g}x" if self.kind == "pruned" else self.kind


PRUNED = Row("pruned", 246, seeds=3)
BINARY = Row("binary", seeds=3)
ROWS = (PRUNED, BINARY, Row("pruned", 150), Row("pruned", 400), Row("ternary"), Row("joint", 150))
TUNED = {"pruned": PRUNED, "binary": BINARY, "ternary": BINARY}
"""Where settings are chosen, by kind of row; with the first seed."""
SETTINGS = 3
"""The most that a rival may try."""


@dataclass(frozen=True)
class Rival:
    """One way to compress.

    Args:
        name: of its results.
        label: in tables.
        method: a module of `methods`.
        settings: of `train`, by kind of row; of several the best on validation data is taken: at 246x, and for binary
            and ternary rows in the binary one.
        environment: where it runs: one of `environments.PACKAGES`, or none: the project's own.
        packages: whose versions are told.
    """

    name: str
    label: str
    method: str
    settings: dict[str, list[dict[str, Any]]]
    environment: str | None = None
    packages: tuple[str, ...] = ()


def alike(**settings: Any) -> list[dict[str, Any]]:
    """Three settings that differ in one value: `name=[...]` is that one."""
    name = next(key for key, value in settings.items() if isinstance(value, list))
    return [settings | {name: value} for value in settings[name]]


FASTER = (1.0, 0.5, 2.0)
"""Factors on the learning rates of low-bit rows."""


def ours() -> dict[str, list[dict[str, Any]]]:
    """The shipped recipes, shortened.

    For pruning also ADMM in one step, and pruning with feedback in one stage; for low bits also other learning rates.
    """
    found = {kind: [{"recipe": name, "parts": parts(name)}] for kind, name in RECIPES.items()}
    for kind in ("binary", "ternary"):
        found[kind] = [found[kind][0] | {"faster": faster} for faster in FASTER]
    found["pruned"] += [{"recipe": RECIPES["pruned"], "parts": [0, 0, 13, 7]}]
    found["pruned"] += [{"recipe": RECIPES["pruned"], "parts": [0, 0, 20, 0], "feedback": True}]
    return found


def parts(recipe: str) -> list[float]:
    """The epochs of a recipe's stages."""
    return [stage.epochs for stage in load(recipe)[0].stages]


def low_bit(**setting: Any) -> dict[str, list[dict[str, Any]]]:
    """Settings for binary and ternary rows, with three learning rates."""
    settings = [setting | {"learning_rate": faster * setting["learning_rate"]} for faster in FASTER]
    return {"binary": settings, "ternary": settings}


def nni(name: str, label: str, *, corrected: bool) -> Rival:
    """NNI's ADMM with the weight of its penalty that it has by itself, and larger ones with shares given to it."""
    common = {"corrected": corrected, "busy": 0.6, "learning_rate": 1e-3}
    settings = [common | {"rho": 1e-4, "given_shares": False}]
    settings += [common | {"rho": rho, "given_shares": True} for rho in (1e-3, 1e-2)]
    return Rival(name, label, "nni_admm", {"pruned": settings}, "nni", ("nni",))


RIVALS = (
    Rival("tighten", "`tighten`", "tightened", ours()),
    Rival(
        "gradual-lamp",
        "gradual magnitude, global LAMP",
        "gradual_lamp",
        {"pruned": alike(busy=[0.7, 0.5, 0.85], learning_rate=2e-3)},
    ),
    Rival(
        "pat",
        "PAT (torchao)",
        "proximal_pruning",
        {
            "pruned": [
                {"given_shares": False, "busy": 0.6, "learning_rate": 2e-3},
                {"given_shares": True, "busy": 0.6, "learning_rate": 2e-3},
                {"given_shares": True, "busy": 0.4, "learning_rate": 2e-3},
            ]
        },
        "torchao",
        ("torchao",),
    ),
    nni("nni-admm-corrected", "ADMM of NNI, penalty corrected", corrected=True),
    Rival(
        "pquant",
        "PQuantML, PDP",
        "pquant_pdp",
        {
            "pruned": alike(busy=[0.6, 0.4, 0.8], learning_rate=2e-3),
            "joint": [{"busy": 0.6, "learning_rate": 2e-3}],
        },
        "pquant",
        ("pquant-ml", "keras"),
    ),
    Rival(
        "nncf",
        "NNCF, magnitude in each layer",
        "nncf_magnitude",
        {
            "pruned": alike(busy=[0.6, 0.4, 0.8], everywhere=False, learning_rate=2e-3),
            "joint": [{"busy": 0.6, "everywhere": False, "learning_rate": 2e-3}],
        },
        "nncf",
        ("nncf",),
    ),
    Rival(
        "magnitude-global",
        "iterative magnitude, whole network (`torch.nn.utils.prune`)",
        "magnitude_steps",
        {
            "pruned": alike(busy=[0.6, 0.4, 0.8], everywhere=True, learning_rate=2e-3),
            "joint": [{"busy": 0.6, "everywhere": True, "learning_rate": 2e-3, "bits": 4}],
        },
    ),
    Rival(
        "magnitude-layers",
        "iterative magnitude, each layer (`torch.nn.utils.prune`)",
        "magnitude_steps",
        {"pruned": alike(busy=[0.6, 0.4, 0.8], everywhere=False, learning_rate=2e-3)},
    ),
    nni("nni-admm", "ADMM of NNI, as shipped", corrected=False),
    Rival(
        "straight-through",
        "straight-through estimation",
        "straight_through",
        low_bit(learning_rate=1e-3),
    ),
    Rival(
        "parq",
        "PARQ (torchao)",
        "annealed_levels",
        low_bit(annealed=0.75, learning_rate=1e-3, per_channel=False),
        "torchao",
        ("torchao",),
    ),
    Rival("brevitas", "Brevitas", "brevitas_levels", low_bit(learning_rate=1e-3), "brevitas", ("brevitas",)),
)


@dataclass(frozen=True)
class Task:
    """One training.

    Args:
        rival, row, seed: which.
        setting: place in the rival's settings.
        epochs: in all.
    """

    rival: Rival
    row: Row
    seed: int = 0
    setting: int = 0
    epochs: int = EPOCHS

    @property
    def name(self) -> str:
        chosen = f"-setting{self.setting}" if self.setting else ""
        return f"{self.row.name}-{self.rival.name}-seed{self.seed}{chosen}"

    def to_data(self, start: Path, threads: int) -> dict[str, Any]:
        """What the worker needs to know, as plain data."""
        distill = load(RECIPES[self.row.kind])[0].stages[0].distill
        assert distill is not None
        return {
            "method": self.rival.method,
            "row": {"kind": self.row.kind, "rate": self.row.rate},
            "setting": self.rival.settings[self.row.kind][self.setting],
            "seed": self.seed,
            "epochs": self.epochs,
            "distill": {"temperature": distill.temperature, "weight": distill.weight},
            "packages": list(self.rival.packages),
            "start": str(start),
            "threads": threads,
        }


@dataclass
class Choice:
    """The setting of each rival, by the validation accuracy of the tasks that tried them.

    Args:
        found: rival's name, the row where it was tried and the setting, to accuracy in percent.
    """

    found: dict[tuple[str, Row, int], float] = field(default_factory=dict)

    def hear(self, task: Task, validation: float | None) -> None:
        """Of a finished task; None where it failed."""
        if TUNED.get(task.row.kind) == task.row and task.seed == 0 and validation is not None:
            self.found[task.rival.name, task.row, task.setting] = validation

    def tried(self, rival: Rival, row: Row) -> dict[int, float]:
        """Of a rival, the settings that count for a row, and their accuracies."""
        where = TUNED.get(row.kind, row)
        return {n: v for (name, at, n), v in self.found.items() if (name, at) == (rival.name, where)}

    def of(self, rival: Rival, row: Row) -> int:
        """The best so far; the first where none was tried or there is nothing to choose."""
        tried = self.tried(rival, row)
        return max(sorted(tried), key=lambda n: tried[n], default=0)


def tasks(rivals: list[Rival], choice: Choice, epochs: int) -> Iterator[Task]:
    """All tasks, what tells most first; `choice` is to be told of each before the next one is asked for."""

    def of(row: Row) -> list[Rival]:
        return [rival for rival in rivals if row.kind in rival.settings]

    for setting in range(SETTINGS):
        for row in (PRUNED, BINARY):
            for rival in of(row):
                if setting < len(rival.settings[row.kind]):
                    yield Task(rival, row, setting=setting, epochs=epochs)
    for row in ROWS:
        for seed in SEEDS[: row.seeds]:
            for rival in of(row):
                yield Task(rival, row, seed, choice.of(rival, row), epochs)


def quick_tasks(rivals: list[Rival]) -> Iterator[Task]:
    """One seed of two rows, four epochs, first settings."""
    for row in (PRUNED, BINARY):
        for rival in rivals:
            if row.kind in rival.settings:
                yield Task(rival, row, epochs=4)
