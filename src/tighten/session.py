"""A session: a plan at work on a model, inside the user's own training loop."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import astuple
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
from tighten.joined import joined_code, own_code
from tighten.methods import State
from tighten.methods.written import read, written
from tighten.notebook import columns, table
from tighten.plan import Plan, Stage
from tighten.report import Report, report
from tighten.schedules import Clock
from tighten.sets import Set, from_data, to_data
from tighten.sets.part import Part, anywhere
from tighten.sharding import is_first, unwrapped, whole
from tighten.solver import Solver, check_promise, check_stage, inside


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
        names: whether files hold the parameters' names; without, only a fingerprint guards `tighten.load`.

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
        names: bool = True,
    ) -> None:
        if steps_per_epoch < 1:
            raise PlanError(f"steps_per_epoch is {steps_per_epoch}: give len(loader), which must not be empty")
        self.model = unwrapped(model)
        self.plan = plan if isinstance(plan, Plan) else Plan(plan)
        self.steps_per_epoch = steps_per_epoch
        self.codes: dict[str, Code] = {}
        self.sets: dict[str, Set] = {}
        self.done = 0
        self._facts = dict(facts or {})
        self._names = names
        self._active: ActiveStage | None = None
        for stage in self.plan:
            check_stage(self.model, stage)
        if start is not None:
            self.sets = _promises(start)
            self.codes = self._own(start.codes)
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
        weights, parts = sites.tensors(self.model, list(self.codes)), self._parts()
        for name, code in self.codes.items():
            shared = [parts[name]] if name in parts else []
            if anywhere(shared, not torch.equal(weights[name].detach(), code.dense())):
                raise ConstraintError(f"'{name}' was changed after its stage ended: train only inside a stage")
            check_promise(name, self.sets[name], code, parts.get(name))

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
        if parts := self._parts():
            raise PlanError(f"processes share '{next(iter(parts))}': save it, and fold in one process")
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

        Where processes share parameters, all of them must call this; each gets the whole network.

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
            if (size := planned_size(measure, self._joined(self.codes), self.sets, limit.value_bits)) > limit.bytes:
                raise PlanError(
                    f"with these facts the file comes to {size} bytes, {size - limit.bytes} above its budget: "
                    f"save fewer facts, or tell Session(..., facts=...) of them before the training"
                )
        return self._artifact(self._state(), self._joined(self.codes), self.sets, meta or {})

    def save(self, path: str | Path, meta: Mapping[str, Any] | None = None) -> Sizes:
        """The compressed network written to a `.tight` file; returns its exact sizes in bytes.

        Where processes share parameters, all of them must call this; the first one writes.
        """
        artifact = self.artifact(meta)
        parts = self._parts().values()
        sizes = artifact.save(path) if not parts or is_first() else artifact.sizes()
        anywhere(parts, False)  # the file is there when the call returns, in every process
        return sizes

    def report(self) -> Report:
        """What every site costs now, counted in the bytes of the real file."""
        made = self.artifact()
        return report(made.with_names({name: tuple(value.shape) for name, value in self.model.state_dict().items()}))

    def state_dict(self) -> dict[str, Any]:
        """Everything that a checkpoint needs beside the model and the optimizer, as plain data.

        It does not depend on how many processes there are. Where they share parameters, all of them must call this;
        each gets the whole state, in main memory.
        """
        state: dict[str, Any] = {
            "done": self.done,
            "codes": {name: to_plain(code) for name, code in self._joined(self.codes).items()},
            "sets": {name: to_data(s) for name, s in self.sets.items()},
            "active": None,
        }
        if self._active is not None:
            if (calibration := self._active.solver.calibration) is not None:
                state["calibration"] = astuple(calibration)
            state["active"] = written(self._active.solver.state, self._active.solver.sets, self._active.solver.parts)
        return state

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where `state_dict` was taken; load the model's own state dict first."""
        if state["done"] > len(self.plan):
            raise PlanError(f"the checkpoint has {state['done']} stages done, the plan has only {len(self.plan)}")
        self.done = state["done"]
        self.sets = {name: from_data(data) for name, data in state["sets"].items()}
        self.codes = self._own({name: from_plain(code) for name, code in state["codes"].items()})
        self._active = None
        if state["active"] is not None:
            sets = sites.select(self.model, self.plan[self.done].sets)
            parts = sites.parts(self.model, list(sets))
            within = {name: inside(self.sets.get(name), s) for name, s in sets.items()}
            found = read(state["active"], within, parts, sites.tensors(self.model, list(sets)))
            calibration = state.get("calibration")
            self._start(found, None if calibration is None else Calibration(*calibration))

    @property
    def _device(self) -> torch.device:
        return next(self.model.parameters()).device

    def _parts(self) -> dict[str, Part]:
        """Which parts of all parameters are here, of those that processes share."""
        return sites.parts(self.model, [name for name, _ in self.model.named_parameters()])

    def _joined(self, codes: Mapping[str, Code]) -> dict[str, Code]:
        """The codes of whole tensors."""
        parts = self._parts()
        return {name: joined_code(code, self.sets[name], parts.get(name)) for name, code in codes.items()}

    def _own(self, codes: Mapping[str, Code]) -> dict[str, Code]:
        """Codes of whole tensors as codes of what is here of them."""
        parts, weights = self._parts(), sites.tensors(self.model, list(codes))
        moved = {name: to_device(code, self._device) for name, code in codes.items()}
        return {
            name: own_code(code, self.sets[name], parts.get(name), tuple(weights[name].shape))
            for name, code in moved.items()
        }

    def _state(self) -> dict[str, Tensor]:
        """The model's state dict, with whole tensors."""
        return {name: whole(value, name) for name, value in self.model.state_dict().items()}

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
        codes, sets, parts = self._joined(self.codes), dict(self.sets), self._parts()
        for stage in self.plan:
            names = list(sites.select(self.model, stage.sets))
            for name, weight in sites.tensors(self.model, names).items():
                sets[name] = constraint_sets.Sparse(count=1)
                found = sets[name].fit(weight.detach(), parts.get(name))
                codes[name] = joined_code(found, sets[name], parts.get(name))
            if stage.budget is not None and stage.budget.bytes is not None:
                check_bytes(planned_size(self._measure, codes, sets, stage.budget.value_bits), stage.budget.bytes)

    def _measure(
        self, codes: Mapping[str, Code], promises: Mapping[str, Set], facts: Mapping[str, Any] | None = None
    ) -> int:
        """The bytes of the file if the model had these codes."""
        state = self._state()
        # Tied tensors change together.
        changed = {(state[name].data_ptr(), state[name].shape): code.dense() for name, code in codes.items()}
        state = {name: changed.get((value.data_ptr(), value.shape), value) for name, value in state.items()}
        return len(self._artifact(state, codes, promises, self._facts if facts is None else facts).to_bytes())

    def _artifact(
        self, state: Mapping[str, Tensor], codes: Mapping[str, Code], sets: Mapping[str, Set], facts: Mapping[str, Any]
    ) -> Artifact:
        made = Artifact.of(state, codes, {**facts, "sets": {name: to_data(sets[name]) for name in codes}})
        return made if self._names else made.without_names()


def _promises(start: Artifact) -> dict[str, Set]:
    promised = start.meta.get("sets", {})
    missing = [name for name in start.codes if name not in promised]
    if missing:
        raise ArtifactError(f"the file to start from promises nothing of '{missing[0]}': write it with Session.save")
    return {name: from_data(promised[name]) for name in start.codes}
