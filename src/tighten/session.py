"""A session: a plan at work on a model, inside the user's own training loop."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from copy import copy
from dataclasses import astuple, fields
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from tighten import sets as constraint_sets
from tighten import sites
from tighten.allocation import Budget, Calibration
from tighten.allocation.measured import check_bytes
from tighten.artifact import Artifact, Sizes
from tighten.attach import ActiveStage
from tighten.codes import Code, Sparse, from_plain, thinned, to_device, to_plain
from tighten.errors import ArtifactError, ConstraintError, PlanError
from tighten.filesize import awaits_levels, planned_size
from tighten.folding import Folding, fold
from tighten.methods import State
from tighten.notebook import columns, table
from tighten.plan import Plan, Stage
from tighten.report import Report, report
from tighten.schedules import Clock
from tighten.sets import Set, from_data, to_data
from tighten.solver import Solver, check_stage


class Session:
    """A model on its way into its sets, stage by stage.

    Iterating gives the stages that are still to be done, each ready to be attached to an optimizer. The
    model stays an ordinary module: its parameters change, nothing else of it.

    Args:
        model: the trained network.
        plan: what is to be done; a sequence of stages.
        steps_per_epoch: optimizer steps in one epoch, such as `len(loader)`.
        start: what `tighten.load(file, model)` gave: the plan goes on from that file's codes and promises.
        facts: what `save` will be told, or something of the same length: budgets of bytes leave room for it.

    Raises:
        PlanError: the plan does not fit the model.
        ArtifactError: the file to start from makes promises of another form.
        ConstraintError: the model does not hold what the file to start from says.
    """

    def __init__(
        self,
        model: nn.Module,
        plan: Sequence[Stage],
        *,
        steps_per_epoch: int,
        start: Artifact | None = None,
        facts: Mapping[str, Any] | None = None,
    ) -> None:
        if steps_per_epoch < 1:
            raise PlanError(f"steps_per_epoch is {steps_per_epoch}: give len(loader), which must not be empty")
        # A compiled module shares its parameters with the one inside, which has their real names.
        self.model: nn.Module = getattr(model, "_orig_mod", model)
        self.plan = plan if isinstance(plan, Plan) else Plan(plan)
        self.steps_per_epoch = steps_per_epoch
        self.codes: dict[str, Code] = {}
        self.sets: dict[str, Set] = {}
        self.done = 0
        self._facts = dict(facts or {})
        self._active: ActiveStage | None = None
        for stage in self.plan:
            check_stage(self.model, stage)
        if start is not None:
            self.codes = {name: to_device(code, self._device) for name, code in start.codes.items()}
            self.sets = _promises(start)
            self._check_codes()
        self._check_bytes()

    def __iter__(self) -> Iterator[ActiveStage]:
        while self.done < len(self.plan):
            stage = self._active or self._start(None)
            yield stage
            if not stage.finished:
                raise PlanError(
                    f"stage '{stage}' was left before it was trained to its end: "
                    f"train inside `with stage.attached(optimizer):`"
                )

    def __repr__(self) -> str:
        head = f"Session(stage {self.done} of {len(self.plan)} done, {len(self.codes)} sites constrained)"
        return f"{head}\n{columns(('stage', 'state', 'epochs'), self._states())}"

    def _repr_html_(self) -> str:
        return table(("stage", "state", "epochs"), self._states(), repr(self).partition("\n")[0])

    def _states(self) -> list[tuple[str, str, str]]:
        at_work = self.done if self._active is not None else -1
        return [
            (str(s), "done" if i < self.done else "at work" if i == at_work else "to come", str(s.epochs))
            for i, s in enumerate(self.plan)
        ]

    def check(self) -> None:
        """Nothing, where every constrained weight of the model lies exactly in its set, bit for bit.

        Raises:
            ConstraintError: one does not.
        """
        if self.done and not (last := self.plan[self.done - 1]).method.commits:
            raise ConstraintError(
                f"stage '{last}' leaves the weights outside their sets: carry out the next stage first"
            )
        self._check_codes()

    def _check_codes(self) -> None:
        weights = sites.tensors(self.model, list(self.codes))
        for name, code in self.codes.items():
            if not torch.equal(weights[name].detach(), code.dense()):
                raise ConstraintError(f"'{name}' was changed after its stage ended: train only inside a stage")
            if wrong := self.sets[name].violations(code):
                raise ConstraintError(f"'{name}' is not in {self.sets[name]!r}: {wrong[0]}")

    @torch.no_grad()
    def fold(self, example: Tensor) -> Folding:
        """Dead neurons folded away: in eval mode the same function with fewer weights, all promises kept.

        What is constrained only loses entries; biases that no set constrains take up the constants.

        Args:
            example: an input with its batch axis; only its shape matters.

        Raises:
            ConstraintError: a stage is at work, or the weights were changed since the last one.
        """
        if self._active is not None:
            raise ConstraintError(f"stage '{self._active}' is at work: fold between two stages, or after the last one")
        self.check()
        by_entry = {n: c for n, c in self.codes.items() if isinstance(c, Sparse) and math.prod(c.unit) == 1}
        free = [name for name, _ in self.model.named_parameters() if name not in self.codes]
        folding = fold(self.model, example, allowed=[*free, *by_entry], only_zero=list(by_entry))
        for name, weight in sites.tensors(self.model, list(by_entry)).items():
            code = by_entry[name]
            self.codes[name] = thinned(code, weight[code.support] != 0)
        self._check_codes()
        return folding

    def artifact(self, meta: Mapping[str, Any] | None = None) -> Artifact:
        """The compressed network as it is now, with its sets as promises that anyone can check.

        Args:
            meta: small facts to store, such as `{"model": "my_package.nets:Net"}`.
        """
        self.check()
        if not self.codes:
            raise PlanError("nothing is constrained yet: carry out the stages of the session first")
        limit = self._limit() if self.done == len(self.plan) else None
        if (
            meta
            and limit is not None
            and limit.bytes is not None
            and not awaits_levels(self.codes, self.sets, limit.value_bits)
        ):
            measure = partial(self._measure, facts=meta)
            if (size := planned_size(measure, self.codes, self.sets, limit.value_bits)) > limit.bytes:
                raise PlanError(
                    f"with these facts the file comes to {size} bytes, {size - limit.bytes} above its budget: "
                    f"save fewer facts, or tell Session(..., facts=...) of them before the training"
                )
        return self._artifact(self.model.state_dict(), self.codes, self.sets, meta or {})

    def save(self, path: str | Path, meta: Mapping[str, Any] | None = None) -> Sizes:
        """The compressed network written to a `.tight` file; returns its exact sizes in bytes."""
        return self.artifact(meta).save(path)

    def report(self) -> Report:
        """What every site costs now, counted in the bytes of the real file."""
        return report(self.artifact())

    def state_dict(self) -> dict[str, Any]:
        """Everything that a checkpoint needs beside the model and the optimizer, as plain data."""
        state: dict[str, Any] = {
            "done": self.done,
            "codes": {name: to_plain(code) for name, code in self.codes.items()},
            "sets": {name: to_data(s) for name, s in self.sets.items()},
            "active": None,
        }
        if self._active is not None:
            if (calibration := self._active.solver.calibration) is not None:
                state["calibration"] = astuple(calibration)
            now = self._active.solver.state
            plain = {field.name: copy(getattr(now, field.name)) for field in fields(now)}
            plain["codes"] = {name: to_plain(code) for name, code in now.codes.items()}
            state["active"] = plain
        return state

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where `state_dict` was taken; load the model's own state dict first."""
        if state["done"] > len(self.plan):
            raise PlanError(f"the checkpoint has {state['done']} stages done, the plan has only {len(self.plan)}")
        self.done = state["done"]
        self.codes = self._codes(state["codes"])
        self.sets = {name: from_data(data) for name, data in state["sets"].items()}
        self._active = None
        if state["active"] is not None:
            plain = dict(state["active"])
            plain["codes"] = self._codes(plain["codes"])
            for kind in ("targets", "fixed"):
                plain[kind] = {name: tensor.to(self._device) for name, tensor in plain[kind].items()}
            calibration = state.get("calibration")
            self._start(State(**plain), None if calibration is None else Calibration(*calibration))

    @property
    def _device(self) -> torch.device:
        return next(self.model.parameters()).device

    def _codes(self, plain: Mapping[str, Any]) -> dict[str, Code]:
        return {name: to_device(from_plain(code), self._device) for name, code in plain.items()}

    def _start(self, state: State | None, calibration: Calibration | None = None) -> ActiveStage:
        solver = Solver(
            self.model,
            self.plan[self.done],
            self.codes,
            self.sets,
            Clock(self.plan[self.done].epochs, self.steps_per_epoch),
            state,
            measure=self._measure,
            limit=self._limit(),
            calibration=calibration,
        )
        self._active = ActiveStage(solver, self.done, self._finish)
        return self._active

    def _finish(self, codes: dict[str, Code], promises: dict[str, Set]) -> None:
        self.codes = codes
        self.sets |= promises
        self.done += 1
        self._active = None

    def _limit(self) -> Budget | None:
        """The latest budget of bytes: whatever stage ends from now on, the file must be within it."""
        budgets = [stage.budget for stage in self.plan[: self.done + 1]]
        return next((b for b in reversed(budgets) if b is not None and b.bytes is not None), None)

    def _check_bytes(self) -> None:
        """Nothing, where every budget of bytes has room for one weight in each site that is constrained by then."""
        if not any(stage.budget is not None and stage.budget.bytes is not None for stage in self.plan):
            return
        codes, sets = dict(self.codes), dict(self.sets)
        for stage in self.plan:
            names = list(sites.select(self.model, stage.sets))
            for name, weight in sites.tensors(self.model, names).items():
                sets[name] = constraint_sets.Sparse(count=1)
                codes[name] = sets[name].fit(weight.detach())
            if stage.budget is not None and stage.budget.bytes is not None:
                check_bytes(planned_size(self._measure, codes, sets, stage.budget.value_bits), stage.budget.bytes)

    def _measure(
        self, codes: Mapping[str, Code], promises: Mapping[str, Set], facts: Mapping[str, Any] | None = None
    ) -> int:
        """The bytes of the file if the model had these codes."""
        state = self.model.state_dict()
        # Tied tensors change together.
        changed = {(state[name].data_ptr(), state[name].shape): code.dense() for name, code in codes.items()}
        state = {name: changed.get((value.data_ptr(), value.shape), value) for name, value in state.items()}
        return len(self._artifact(state, codes, promises, self._facts if facts is None else facts).to_bytes())

    @staticmethod
    def _artifact(
        state: Mapping[str, Tensor], codes: Mapping[str, Code], sets: Mapping[str, Set], facts: Mapping[str, Any]
    ) -> Artifact:
        return Artifact.of(state, codes, {**facts, "sets": {name: to_data(sets[name]) for name in codes}})


def _promises(start: Artifact) -> dict[str, Set]:
    promised = start.meta.get("sets", {})
    missing = [name for name in start.codes if name not in promised]
    if missing:
        raise ArtifactError(f"the file to start from promises nothing of '{missing[0]}': write it with Session.save")
    return {name: from_data(promised[name]) for name in start.codes}
