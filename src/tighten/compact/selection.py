"""Which neurons go: those that nothing depends on, with all that has to go with them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from torch import Tensor

from tighten.compact.coupling import Couplings, Cut, Step
from tighten.compact.unread import Unread

Removal = dict[Cut, set[int]]
"""Which channels leave which side of which module."""


def removals(couplings: Couplings, free: Unread) -> tuple[list[Removal], list[str]]:
    """What can go, in parts that do not depend on each other, and why the rest stays.

    A part is closed: each neuron in it is unread, each column has no weights, and whatever is coupled to one of them is
    in the part too. No layer loses all its neurons.
    """
    parts: list[Removal] = []
    notes: list[str] = []
    for layer, mask in free.neurons.items():
        gone = set().union(*(part.get(Cut(layer, True), set()) for part in parts))
        wanted = [i for i in _true(mask) if i not in gone]
        if not wanted or not couplings.knows(layer):
            continue
        part, why = _closed(couplings, free, layer, wanted)
        if part:
            parts.append(part)
        notes += [f"'{layer}': {count} unread {_plural(count)}: {reason}" for reason, count in why.items()]
    notes += _keep_one(couplings, free, parts)
    return [part for part in parts if part], notes


def together(parts: Sequence[Removal]) -> Removal:
    """The union of some parts."""
    union: Removal = {}
    for part in parts:
        for cut, places in part.items():
            union.setdefault(cut, set()).update(places)
    return union


def _closed(couplings: Couplings, free: Unread, layer: str, wanted: list[int]) -> tuple[Removal, Counter[str]]:
    """The wanted neurons without those that something stands in the way of."""
    why: Counter[str] = Counter()
    while wanted:
        steps = couplings.of(layer, wanted)
        blocked: dict[int, str] = {}
        for step in steps:
            for place, root in zip(step.places, step.roots, strict=True):
                reason = _obstacle(step, place, free)
                if reason is not None:
                    # Without a root it is not known which neuron is to blame: then none of them goes.
                    for neuron in wanted if root is None else (root,):
                        blocked.setdefault(neuron, reason)
        if not blocked:
            return _removal(steps), why
        why.update(blocked.values())
        wanted = [i for i in wanted if i not in blocked]
    return {}, why


def _obstacle(step: Step, place: int, free: Unread) -> str | None:
    if step.obstacle is not None or step.cut is None:
        return step.obstacle
    name = step.cut.module
    if name in free.fixed:
        return free.fixed[name]
    if name not in free.neurons:
        return None  # a batch norm
    known = free.neurons[name] if step.cut.outputs else free.columns[name]
    if place >= len(known):
        return f"'{name}' has no such channel"
    if bool(known[place]):
        return None
    return f"the neurons of '{name}' that they are joined to are alive" if step.cut.outputs else f"'{name}' reads them"


def _removal(steps: Sequence[Step]) -> Removal:
    return together([{step.cut: set(step.places)} for step in steps if step.cut is not None])


def _keep_one(couplings: Couplings, free: Unread, parts: list[Removal]) -> list[str]:
    """Gives back one neuron, and what goes with it, to each layer that would lose all; changes the parts."""
    notes = []
    for layer, mask in free.neurons.items():
        lost = together(parts).get(Cut(layer, True), set())
        if lost < set(range(len(mask))):
            continue
        for cut, places in _removal(couplings.of(layer, [0])).items():
            for part in parts:
                if cut in part:
                    part[cut] -= places
                    if not part[cut]:
                        del part[cut]
        notes.append(f"'{layer}': no neuron is read; one stays, because no layer can be empty")
    return notes


def _true(mask: Tensor) -> list[int]:
    places: list[int] = mask.nonzero().flatten().tolist()
    return places


def _plural(count: int) -> str:
    return "neuron stays" if count == 1 else "neurons stay"
