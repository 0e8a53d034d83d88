"""A recipe carried out: from the dense network to a verified `.tight` file."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from tighten import sites
from tighten.artifact import Artifact, load
from tighten.engine import checkpoint
from tighten.engine.dense import dense_network
from tighten.engine.events import Epoch, Listener
from tighten.engine.folder import check_folder
from tighten.engine.identity import identity
from tighten.engine.latency import keep_latency
from tighten.engine.memory import Memory
from tighten.engine.prepare import prepare
from tighten.engine.prices import priced
from tighten.engine.processes import Processes
from tighten.engine.provenance import provenance
from tighten.engine.recover import Recovery
from tighten.engine.stage import Pending, train_stage
from tighten.errors import TrainingError
from tighten.recipes import Recipe
from tighten.report import Report, report
from tighten.report.html import write_report
from tighten.session import Session

CHECKPOINT, STAGE_START = "checkpoint.pt", "stage-start.pt"
CLAIMS = {"accuracy": 97.531864, "dense": 98.642975}
"""A little longer than claims get: budgets of bytes leave room for them."""


def planned_facts(recipe: Recipe) -> dict[str, Any]:
    """What the file of a run will say besides its sets, or something a little longer."""
    return {**recipe.facts(), "claims": CLAIMS}


def effort_line(effort: float) -> str:
    """What the text of a run folder says of other epochs than the recipe's own."""
    return "" if effort == 1 else f"# effort {effort:g}\n"


@dataclass(frozen=True)
class Result:
    """What a run ended with.

    Args:
        report: the sites and bytes.
        dense_accuracy: test accuracy of the dense network, in percent.
        accuracy: test accuracy of the compressed network at the last epoch, in percent.
        validation_accuracy: likewise on the validation data, the only ones to decide by.
        epochs: trained after the dense network.
        seconds: of these epochs.
        file: the `.tight` file.
        effort: factor on the epochs that the recipe asks for; with less than 1 the result is a partial one.
    """

    report: Report
    dense_accuracy: float
    accuracy: float
    validation_accuracy: float
    epochs: int
    seconds: float
    file: Path
    effort: float = 1.0


def run(
    recipe: Recipe,
    text: str,
    out: Path,
    *,
    root: Path | None = None,
    download: bool = False,
    seed: int | None = None,
    resume: bool = False,
    start: Path | None = None,
    weights: Path | None = None,
    dense_folder: Path | None = None,
    effort: float = 1.0,
    listener: Listener | None = None,
    timed: bool = True,
) -> Result:
    """The recipe carried out in a run folder.

    The folder gets `recipe.toml`, `checkpoint.pt` (after each epoch), `log.jsonl`, `stages.json` (after each stage),
    `net.tight`, `result.json` and `report.html`; the dense network is kept beside the folder for other runs.
    Under `torchrun` or `accelerate launch` the processes share each batch; the first one writes.

    Args:
        recipe, text: what to do, and the TOML that says so.
        out: the run folder.
        root: folder of the data set.
        download: fetch the data set where it is missing.
        seed: in place of the recipe's own.
        resume: go on with what the folder holds.
        start: a `.tight` file whose network and promises the stages go on from; the dense network still teaches.
        weights: a file with the trained network, in place of the recipe's own dense training; see `Pretrained`.
        dense_folder: where the dense network is kept; by default `.dense` beside the run folder.
        effort: factor on all epochs; what comes of less than 1 is labelled a partial result.
        listener: hears of progress.
        timed: whether the latency of the result is measured for its report, which takes some seconds.

    Raises:
        TightenError: whatever cannot be done, told before anything is lost.
    """
    processes = Processes()
    recipe = recipe.with_effort(effort)
    if weights is not None:
        recipe = recipe.starting_from(str(weights))
    job = _Job(
        recipe,
        out,
        seed=recipe.seed if seed is None else seed,
        root=root,
        start=start,
        dense_folder=dense_folder or out.parent / ".dense",
        effort=effort,
        processes=processes,
        listener=processes.heard(listener or Listener()),
        timed=timed,
    )
    kept, head = out / "recipe.toml", f"# seed {job.seed}\n{effort_line(effort)}"
    ours = processes.first(lambda: check_folder(out, kept, f"{head}{identity(recipe)}{text}", resume))
    job.prepare(download)
    # Only now: a run that could not begin leaves nothing behind that stands in the way of the next try.
    processes.first(lambda: checkpoint.write(kept, ours.encode()))
    return job.carry_out()


class _Job:
    def __init__(
        self,
        recipe: Recipe,
        out: Path,
        *,
        seed: int,
        root: Path | None,
        start: Path | None,
        dense_folder: Path,
        effort: float,
        processes: Processes,
        listener: Listener,
        timed: bool,
    ) -> None:
        self.recipe, self.out, self.seed, self.root = recipe, out, seed, root
        self.effort, self.timed, self.processes = effort, timed, processes
        self.start, self.dense_folder, self.listener = start, dense_folder, listener
        self.memory = Memory(out / "stages.json")
        self.recovery = Recovery(recipe.recover)
        self.seconds = 0.0
        self.history: list[dict[str, Any]] = []

    def prepare(self, download: bool) -> None:
        self.trainer = prepare(
            self.recipe,
            root=self.root,
            download=download,
            seed=self.seed,
            listener=self.listener,
            processes=self.processes,
        )
        self.plan = priced(self.recipe.plan(), self.trainer)
        self.session = self._session(None)

    def _session(self, start: Artifact | None) -> Session:
        return Session(
            self.trainer.model,
            self.plan,
            steps_per_epoch=self.trainer.steps_per_epoch,
            start=start,
            facts=planned_facts(self.recipe),
        )

    def carry_out(self) -> Result:
        trainer, recipe = self.trainer, self.recipe
        self.dense = dense_network(trainer, recipe, self.seed, self.dense_folder)
        if self.dense.found:
            self.listener.note(f"dense network taken from {self.dense_folder}")
        trainer.keep_teacher()
        self.dense_accuracy = trainer.accuracy(trainer.data.test)
        # From here on chance does not depend on whether the dense network was trained or found.
        torch.manual_seed(self.seed + 1)
        trainer.generator.manual_seed(self.seed + 1)
        if self.start is not None:
            self.session = self._session(load(self.start, trainer.model))
            self._fold()
        pending = self._restore()
        while (stage := next(iter(self.session), None)) is not None:
            table = self.recovery.table(stage.index, recipe.stages[stage.index])
            try:
                found = train_stage(trainer, stage, table, pending, self._keep)
            except TrainingError as error:
                pending = self._roll_back(stage.index, error)
                continue
            pending = None
            # Kept before the stage counts as done: going on never misses it.
            self._remember(str(stage), found)
            self._checkpoint(None)
        return self._result()

    def _remember(self, name: str, validation: float) -> None:
        facts = planned_facts(self.recipe)
        self.processes.first(lambda: self.memory.keep(name, validation, self.session, facts))

    def _keep(self, epoch: Epoch, within: Pending | None) -> None:
        self.seconds += epoch.seconds
        self.history.append(asdict(epoch))
        # Kept before it is told: who reads of an epoch within a stage can go on from it.
        if within is not None:
            self._checkpoint(within)
        lines = "".join(json.dumps(entry) + "\n" for entry in self.history)
        self.processes.first(lambda: checkpoint.write(self.out / "log.jsonl", lines.encode()))
        self.listener.epoch(epoch)

    def _checkpoint(self, within: Pending | None) -> None:
        self.processes.first(lambda: self._write_checkpoint(within))

    def _write_checkpoint(self, within: Pending | None) -> None:
        model = self.trainer.model.state_dict()
        # A checkpoint is there to go on from.
        sites.check_finite({n: t for n, t in model.items() if t.is_floating_point()}, "at the end of an epoch")
        state = {
            "model": model,
            "session": self.session.state_dict(),
            "generator": self.trainer.generator.get_state(),
            "torch": torch.get_rng_state(),
            "within": within,
            "history": self.history,
            "seconds": self.seconds,
            "tries": self.recovery.tries,
        }
        checkpoint.save(self.out / CHECKPOINT, state)
        if within is None and self.recipe.recover.tries > 1:
            checkpoint.save_alone(self.out / STAGE_START, state)

    def _restore(self, name: str = CHECKPOINT, tries: dict[int, int] | None = None) -> Pending | None:
        """The state of a checkpoint, if there is one.

        Args:
            name: of its file.
            tries: of each stage; None leaves them to the checkpoint.
        """
        state = self.processes.first(lambda: checkpoint.load(self.out / name, self.listener.note))
        if state is None:
            start = "dense" if self.start is None else "start"
            self._remember(start, self.trainer.accuracy(self.trainer.data.validation))
            self._checkpoint(None)
            return None
        self.trainer.model.load_state_dict(state["model"])
        before: dict[int, int] = state.get("tries", {})
        self.recovery.tries = before if tries is None else tries
        self.session.plan = self.recovery.plan(self.plan)
        self.session.load_state_dict(state["session"])
        if state["session"]["active"] is not None and (stage := next(iter(self.session), None)) is not None:
            times = self.recovery.tries.get(stage.index, 0) - before.get(stage.index, 0)
            self.recovery.weaken(stage.solver.state, times)
        self.trainer.generator.set_state(state["generator"])
        torch.set_rng_state(state["torch"])
        self.history, self.seconds = state["history"], state["seconds"]
        self.memory.restore(self.session.done)
        within: Pending | None = state["within"]
        return within

    def _roll_back(self, index: int, error: TrainingError) -> Pending | None:
        """The last checkpoint again, with a weaker pull from there on, where the recipe allows it.

        That checkpoint is finite, but may be on its way to where it failed: further tries go back to the start of
        the stage.

        Raises:
            TrainingError: the recipe does not.
        """
        if not self.recovery.may_try(index, self.plan[index]):
            raise TrainingError(
                f"{error}; the last checkpoint stays in '{self.out}'; a recipe with [recover] goes on by itself"
            ) from error
        tries = {**self.recovery.tries, index: self.recovery.tries.get(index, 0) + 1}
        name, place = (CHECKPOINT, "last checkpoint") if tries[index] == 1 else (STAGE_START, "start of the stage")
        of = f"try {tries[index]} of {self.recipe.recover.tries}"
        self.listener.note(f"{error}; back to the {place}, {of}, {self.recovery.said()}")
        return self._restore(name, tries)

    def _result(self) -> Result:
        trainer, recipe = self.trainer, self.recipe
        # What is folded away of a file with a budget of bytes would only leave room that nothing uses any more.
        if all(stage.budget is None or stage.budget.bytes is None for stage in recipe.stages):
            self._fold()
        final = trainer.accuracy(trainer.data.test)
        claims = {"accuracy": round(final, 4), "dense": round(self.dense_accuracy, 4)}
        file = self.out / "net.tight"
        artifact = self.session.artifact({**recipe.facts(), "claims": claims})
        validation = trainer.accuracy(trainer.data.validation)
        figures, epochs = report(artifact), len(self.history)
        result = Result(figures, self.dense_accuracy, final, validation, epochs, self.seconds, file, self.effort)

        def write() -> None:
            artifact.save(file)
            checkpoint.write_json(self.out / "result.json", self._facts(result))
            if self.timed:
                keep_latency(trainer.model, trainer.data.test.first(), self.out, self.listener)
            self.listener.note(f"drawn: {write_report(self.out)}")

        self.processes.first(write)
        return result

    def _fold(self) -> None:
        if not self.recipe.fold:
            return
        folding = self.session.fold(self.trainer.data.train.first())
        if folding.parameters:
            self.listener.note(f"folded: {folding.weights:,} weights and {folding.biases:,} biases became zero")

    def _facts(self, result: Result) -> dict[str, Any]:
        return {
            "recipe": self.recipe.name,
            **({} if self.effort == 1 else {"effort": self.effort, "partial": self.effort < 1}),
            "seed": self.seed,
            "dense_accuracy": result.dense_accuracy,
            "accuracy": result.accuracy,
            "validation_accuracy": result.validation_accuracy,
            "epochs": result.epochs,
            "dense_epochs": self.recipe.dense.epochs,
            "precision": self.trainer.precision,
            "processes": self.processes.count,
            "seconds": round(result.seconds, 1),
            "report": result.report.to_data(),
            **provenance(self.root, self.recipe.dense.weights, self.start),
            # A step of a longer way goes on from another one, not from the dense network.
            "dense_history": self.dense.history if self.start is None else [],
            "history": self.history,
        }
