"""A recipe carried out: from the dense network to a verified `.tight` file."""

from __future__ import annotations

import json
import platform
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from tighten.attach import ActiveStage
from tighten.engine import checkpoint
from tighten.engine.dense import dense_network
from tighten.engine.evaluate import accuracy
from tighten.engine.events import Epoch, Listener
from tighten.engine.folder import check_folder
from tighten.engine.prepare import prepare
from tighten.recipes import Recipe, StageTable
from tighten.report import Report, report
from tighten.session import Session


@dataclass(frozen=True)
class Result:
    """What a run ended with.

    Args:
        report: the sites and bytes.
        dense_accuracy: test accuracy of the dense network, in percent.
        accuracy: test accuracy of the compressed network at the last epoch, in percent.
        seconds: of all epochs after the dense network.
        file: the `.tight` file.
    """

    report: Report
    dense_accuracy: float
    accuracy: float
    seconds: float
    file: Path


def run(
    recipe: Recipe,
    text: str,
    out: Path,
    *,
    root: Path | None = None,
    download: bool = False,
    seed: int | None = None,
    resume: bool = False,
    listener: Listener | None = None,
) -> Result:
    """The recipe carried out in a run folder.

    The folder gets `recipe.toml`, `checkpoint.pt` (after each epoch), `log.jsonl`, `net.tight` and
    `result.json`; the dense network is kept beside the folder for other runs.

    Args:
        recipe, text: what to do, and the TOML that says so.
        out: the run folder.
        root: folder of the data set.
        download: fetch the data set where it is missing.
        seed: in place of the recipe's own.
        resume: go on with what the folder holds.
        listener: hears of progress.

    Raises:
        TightenError: whatever cannot be done, told before anything is lost.
    """
    job = _Job(recipe, out, recipe.seed if seed is None else seed, root, listener or Listener())
    kept, ours = out / "recipe.toml", f"# seed {job.seed}\n{text}"
    check_folder(out, kept, ours, resume)
    job.prepare(download)
    # Only now: a run that could not begin leaves nothing behind that stands in the way of the next try.
    checkpoint.write(kept, ours.encode())
    return job.carry_out()


class _Job:
    def __init__(self, recipe: Recipe, out: Path, seed: int, root: Path | None, listener: Listener) -> None:
        self.recipe, self.out, self.seed, self.root, self.listener = recipe, out, seed, root, listener
        self.seconds = 0.0
        self.history: list[dict[str, Any]] = []

    def prepare(self, download: bool) -> None:
        self.trainer = prepare(self.recipe, root=self.root, download=download, seed=self.seed, listener=self.listener)
        plan, steps = self.recipe.plan(), self.trainer.steps_per_epoch
        self.session = Session(self.trainer.model, plan, steps_per_epoch=steps)

    def carry_out(self) -> Result:
        trainer, recipe = self.trainer, self.recipe
        dense_folder = self.out.parent / ".dense"
        if dense_network(trainer, recipe, self.seed, dense_folder):
            self.listener.note(f"dense network taken from {dense_folder}")
        trainer.keep_teacher()
        self.dense_accuracy = accuracy(trainer.model, trainer.data.test)
        # From here on chance does not depend on whether the dense network was trained or found.
        torch.manual_seed(self.seed + 1)
        trainer.generator.manual_seed(self.seed + 1)
        pending = self._restore()
        for stage in self.session:
            table = recipe.stages[stage.index]
            self._stage(stage, table, pending)
            pending = None
            self._checkpoint(None)
        return self._result()

    def _stage(self, stage: ActiveStage, table: StageTable, pending: dict[str, Any] | None) -> None:
        trainer = self.trainer
        optimizer = trainer.optimizer(trainer.model, table.learning_rate)
        scheduler = stage.scheduler(optimizer)
        if pending is not None:
            optimizer.load_state_dict(pending["optimizer"])
            scheduler.load_state_dict(pending["scheduler"])
        wrapped = trainer.accelerator.prepare_optimizer(optimizer)
        self.listener.stage(str(stage), table.epochs, trainer.steps_per_epoch, stage.start_epoch)
        with stage.attached(optimizer) as solver:
            for number in range(stage.start_epoch + 1, stage.epochs + 1):
                epoch = trainer.epoch(str(stage), number, table, wrapped, scheduler)
                state = solver.state
                epoch = replace(
                    epoch,
                    rho=state.rho,
                    primal=max(state.primal.values(), default=0.0),
                    dual=max(state.dual.values(), default=0.0),
                    residuals={name: (primal, state.dual[name]) for name, primal in state.primal.items()},
                )
                self.seconds += epoch.seconds
                self.history.append(asdict(epoch))
                # Kept before it is told: who reads of an epoch within a stage can go on from it.
                if number < stage.epochs:
                    self._checkpoint({"optimizer": optimizer.state_dict(), "scheduler": scheduler.state_dict()})
                self._tell(epoch)
        self.listener.note(f"{stage} ended: validation {accuracy(trainer.model, trainer.data.validation):.2f} %")

    def _tell(self, epoch: Epoch) -> None:
        lines = "".join(json.dumps(entry) + "\n" for entry in self.history)
        checkpoint.write(self.out / "log.jsonl", lines.encode())
        self.listener.epoch(epoch)

    def _checkpoint(self, within: dict[str, Any] | None) -> None:
        checkpoint.save(
            self.out / "checkpoint.pt",
            {
                "model": self.trainer.model.state_dict(),
                "session": self.session.state_dict(),
                "generator": self.trainer.generator.get_state(),
                "torch": torch.get_rng_state(),
                "within": within,
                "history": self.history,
                "seconds": self.seconds,
            },
        )

    def _restore(self) -> dict[str, Any] | None:
        path = self.out / "checkpoint.pt"
        if not path.exists():
            return None
        state = checkpoint.load(path, self.trainer.accelerator.device)
        self.trainer.model.load_state_dict(state["model"])
        self.session.load_state_dict(state["session"])
        self.trainer.generator.set_state(state["generator"].cpu())
        torch.set_rng_state(state["torch"].cpu())
        self.history, self.seconds = state["history"], state["seconds"]
        within: dict[str, Any] | None = state["within"]
        return within

    def _result(self) -> Result:
        trainer, recipe = self.trainer, self.recipe
        final = accuracy(trainer.model, trainer.data.test)
        claims = {"accuracy": round(final, 4), "dense": round(self.dense_accuracy, 4)}
        file = self.out / "net.tight"
        artifact = self.session.artifact({"model": recipe.model, "data": recipe.data, "claims": claims})
        artifact.save(file)
        result = Result(report(artifact), self.dense_accuracy, final, self.seconds, file)
        checkpoint.write_json(self.out / "result.json", self._provenance(result))
        return result

    def _provenance(self, result: Result) -> dict[str, Any]:
        return {
            "recipe": self.recipe.name,
            "seed": self.seed,
            "dense_accuracy": result.dense_accuracy,
            "accuracy": result.accuracy,
            "validation_accuracy": accuracy(self.trainer.model, self.trainer.data.validation),
            "epochs": self.recipe.plan().epochs,
            "dense_epochs": self.recipe.dense.epochs,
            "seconds": round(result.seconds, 1),
            "report": result.report.to_data(),
            "torch": torch.__version__,
            "threads": torch.get_num_threads(),
            "machine": platform.machine(),
            "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "history": self.history,
        }
