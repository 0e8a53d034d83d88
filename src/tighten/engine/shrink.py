"""A recipe's network made smaller step by step, as far as a gate on validation accuracy allows."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from tighten import sites
from tighten.allocation import Budget
from tighten.allocation.budget import PLAIN_BITS
from tighten.artifact import Artifact, load
from tighten.engine import checkpoint
from tighten.engine.dense import dense_network
from tighten.engine.events import Listener
from tighten.engine.folder import check_folder
from tighten.engine.identity import identity
from tighten.engine.latency import keep_latency
from tighten.engine.prepare import prepare
from tighten.engine.processes import Processes
from tighten.engine.run import planned_facts, run
from tighten.engine.way import Kind, Walked, Way
from tighten.recipes import Recipe, StageTable
from tighten.report import Point, pareto
from tighten.report.html import write_report
from tighten.search import Gate, Search
from tighten.session import Session


def shrink(
    recipe: Recipe,
    text: str,
    out: Path,
    gate: Gate,
    *,
    goal: Budget | None = None,
    bits: int | None = None,
    root: Path | None = None,
    download: bool = False,
    seed: int | None = None,
    resume: bool = False,
    weights: Path | None = None,
    listener: Listener | None = None,
) -> Way:
    """The recipe's network pruned in steps that the gate lets pass, then quantized.

    Each step is a run of its own in `out/step-NN`, which goes on from the `.tight` file of the smallest step
    that passed. `out/way.json` says all that happened, `out/report.html` shows it; the smallest network that passed
    is also `out/net.tight`.

    Args:
        recipe, text: names model, data and training; its `[shrink]` table counts, its stages do not.
        out: the folder.
        gate: the least validation accuracy of a step that is kept.
        goal: the size at which to stop, in weights, as a rate, or in bytes of the file; None: as small as steps pay.
        bits: of a kept value, at the end; None leaves the values as they are.
        root, download, seed, resume, weights, listener: as for `run`.

    Raises:
        TightenError: whatever cannot be done, told before anything is lost.
    """
    processes = Processes()
    if weights is not None:
        recipe = recipe.starting_from(str(weights))
    if recipe.shrink.biases is None:
        biases = goal is not None and goal.bytes is not None
        recipe = recipe.model_copy(update={"shrink": recipe.shrink.model_copy(update={"biases": biases})})
    heard = processes.heard(listener or Listener())
    walk = _Walk(recipe, out, recipe.seed if seed is None else seed, root, goal, bits, processes, heard)
    asked = {"seed": walk.seed, "gate": asdict(gate), "goal": goal and asdict(goal), "bits": bits}
    kept, head = out / "shrink.toml", f"# {json.dumps(asked, default=str)}\n"
    ours = processes.first(lambda: check_folder(out, kept, f"{head}{identity(recipe)}{text}", resume))
    search = walk.prepare(gate, download)
    processes.first(lambda: checkpoint.write(kept, ours.encode()))
    return walk.carry_out(search)


class _Walk:
    def __init__(
        self,
        recipe: Recipe,
        out: Path,
        seed: int,
        root: Path | None,
        goal: Budget | None,
        bits: int | None,
        processes: Processes,
        listener: Listener,
    ) -> None:
        self.recipe, self.out, self.seed, self.root = recipe, out, seed, root
        self.goal, self.bits, self.processes, self.listener = goal, bits, processes, listener
        self.record = out / "way.json"
        self.fewest = 1
        self.dense_folder = out.parent / ".dense"

    def prepare(self, gate: Gate, download: bool) -> Search:
        """The dense network, trained or found, measured; and the search that starts from it."""
        self.trainer = trainer = prepare(
            self.recipe,
            root=self.root,
            download=download,
            seed=self.seed,
            listener=self.listener,
            processes=self.processes,
        )
        table = self.recipe.shrink
        named = sites.select(trainer.model, table.open_sets())
        # Each site keeps a weight, or it is dead.
        self.fewest = len(named)
        entries = sum(t.numel() for t in sites.tensors(trainer.model, list(named)).values())
        start, goal = float(entries), None
        if self.goal is not None and self.goal.bytes is not None:
            start, goal = entries * (self.bits or PLAIN_BITS) / 8, self.goal.bytes
        elif self.goal is not None:
            goal = self.goal.count(entries)
        # Before the dense network is trained: what cannot be is told at once.
        search = Search(start, 100.0, gate, goal, table.factor, table.part, table.least_factor)
        if goal is not None:
            last = self._recipe(table.prune(self._budget(goal), "last"))
            Session(trainer.model, last.plan(), steps_per_epoch=trainer.steps_per_epoch, facts=planned_facts(last))
        dense_network(trainer, self.recipe, self.seed, self.dense_folder)
        dense = trainer.accuracy(trainer.data.validation)
        search = replace(search, dense=dense)
        self.way = Way(entries, dense, trainer.accuracy(trainer.data.test), search.least)
        return search

    def carry_out(self, search: Search) -> Way:
        """All steps that are still to be made."""
        self.listener.note(f"dense: validation {search.dense:.2f} %, the gate is at {search.least:.2f} %")
        self.way = self.processes.first(lambda: Way.load(self.record) if self.record.exists() else self.way)
        table = self.recipe.shrink
        self._second_chance(search)  # the one that a search killed in between owes
        while (size := search.next(tried := self._steps("prune", "exchange"))) is not None:
            if not self._in_bytes and size < self.fewest:
                break
            stages = table.prune(self._budget(size), f"{search.start / size:.4g}x")
            self._step(search, "prune", stages, search.best(tried), size)
            self._second_chance(search)
        tried = self._steps("prune", "exchange")
        passed = sorted((s for s in tried if s.passed), key=lambda s: s.size)
        if passed and table.polish:
            polished = self._once(search, "polish", table.polished(), passed[0])
            passed = [polished, *passed] if polished.passed else passed
        if self.bits is None:
            return self._finished(passed[0] if passed else None)
        for candidate in passed:
            limit = self._budget(candidate.size) if self._in_bytes else None
            quantized = self._once(search, "quantize", table.levels(self.bits, limit), candidate)
            if quantized.passed:
                return self._finished(quantized)
        self.listener.note(f"at {self.bits} bits no network passes the gate: give more bits or a wider gate")
        return self._finished(passed[0] if passed else None)

    def _recipe(self, stages: list[dict[str, Any]]) -> Recipe:
        return self.recipe.model_copy(update={"stages": [StageTable.model_validate(s) for s in stages]})

    @property
    def _in_bytes(self) -> bool:
        return self.goal is not None and self.goal.bytes is not None

    def _budget(self, size: float) -> dict[str, int]:
        if self._in_bytes:
            return {"bytes": int(size + 1e-6), "value_bits": self.bits or PLAIN_BITS}
        return {"weights": int(size + 1e-6)}

    def _second_chance(self, search: Search) -> None:
        """Exchange for a pruning step that has just failed the gate narrowly."""
        table = self.recipe.shrink
        for step in self.way.steps[-1:]:
            if step.kind == "prune" and step.kept and search.nearly(step) and table.exchange:
                self._step(search, "exchange", table.exchanged(self._budget(step.size)), step, step.size)

    def _steps(self, *kinds: Kind) -> list[Walked]:
        return [step for step in self.way.steps if step.kind in kinds]

    def _once(self, search: Search, kind: Kind, stages: list[dict[str, Any]], origin: Walked) -> Walked:
        done = [step for step in self._steps(kind) if step.origin == origin.name]
        return done[0] if done else self._step(search, kind, stages, origin, origin.size)

    def _step(
        self, search: Search, kind: Kind, stages: list[dict[str, Any]], origin: Walked | None, size: float
    ) -> Walked:
        recipe = self._recipe(stages)
        name = f"step-{len(self.way.steps) + 1:02d}"
        start = None if origin is None else self._file(origin.name)
        text = f"# from {origin.name if origin else 'the dense network'}\n{json.dumps(stages, default=str)}\n"
        result = run(
            recipe,
            text,
            self.out / name,
            root=self.root,
            seed=self.seed,
            resume=True,
            start=start,
            dense_folder=self.dense_folder,
            listener=self.listener,
            timed=False,
        )
        kept = sum(site.kept for site in result.report.sites)
        found = Walked(
            size=size if self._in_bytes or not kept else kept,
            accuracy=result.validation_accuracy,
            # Weights that lead nowhere are folded away: a gate may be so wide that a network of none would pass.
            passed=kept > 0 and search.passes(result.validation_accuracy),
            name=name,
            kind=kind,
            origin="" if origin is None else origin.name,
            kept=kept,
            bytes=result.report.sizes.total,
            test_accuracy=result.accuracy,
            epochs=result.epochs,
            seconds=result.seconds,
        )
        self.way = replace(self.way, steps=(*self.way.steps, found))
        self.processes.first(lambda: self.way.save(self.record))
        verdict = "passes" if found.passed else "does not pass, back to the step before"
        self.listener.note(f"{name}: {found.kept:,} kept, validation {found.accuracy:.2f} %: {verdict}")
        return found

    def _file(self, name: str) -> Path:
        return self.out / name / "net.tight"

    def _finished(self, best: Walked | None) -> Way:
        self.way = replace(self.way, best="" if best is None else best.name)
        self.processes.first(lambda: self._write(best))
        return self.way

    def _write(self, best: Walked | None) -> None:
        if best is not None:
            Artifact.open(self._file(best.name)).save(self.out / "net.tight")
            load(self.out / "net.tight", self.trainer.model)
            example = self.trainer.data.test.first()
            keep_latency(self.trainer.model, example, self.out / best.name, self.listener)
        self.way.save(self.record)
        points = [
            Point(s.bytes, s.accuracy, f"{s.name.removeprefix('step-')} {s.kind}", s.passed) for s in self.way.steps
        ]
        pareto(points, self.way.least, self.way.dense, self.out / "way.png", self.recipe.name)
        self.listener.note(f"drawn: {write_report(self.out)}")
