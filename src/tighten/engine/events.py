"""What a run tells whoever watches it."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Epoch:
    """One finished epoch.

    Args:
        stage: name of the stage, "dense" for the training before it.
        epoch: counted from one within the stage.
        epochs: of the stage.
        loss: mean training loss, the distillation included, the ADMM penalty not.
        accuracy: of the validation examples, in percent.
        rho: weight of the pull; zero outside ADMM.
        primal: largest |W - Z| / |W| of all sites at the last update.
        dual: largest |Z - Z before| / |Z| of all sites at the last update.
        seconds: of this epoch.
        residuals: per site, the primal and the dual residual at the last update.
    """

    stage: str
    epoch: int
    epochs: int
    loss: float
    accuracy: float
    rho: float
    primal: float
    dual: float
    seconds: float
    residuals: dict[str, tuple[float, float]] = field(default_factory=dict)


class Listener:
    """Hears of a run's progress; each method may be overridden."""

    def stage(self, name: str, epochs: int, steps_per_epoch: int, done: int) -> None:
        """A stage begins, or goes on after `done` epochs."""

    def step(self, loss: float) -> None:
        """An optimizer step was made."""

    def epoch(self, epoch: Epoch) -> None:
        """An epoch ended."""

    def note(self, text: str) -> None:
        """Something worth a line."""


class Listeners(Listener):
    """Several listeners as one.

    Args:
        listeners: told in this order.
    """

    def __init__(self, *listeners: Listener) -> None:
        self._listeners = listeners

    def stage(self, name: str, epochs: int, steps_per_epoch: int, done: int) -> None:
        for listener in self._listeners:
            listener.stage(name, epochs, steps_per_epoch, done)

    def step(self, loss: float) -> None:
        for listener in self._listeners:
            listener.step(loss)

    def epoch(self, epoch: Epoch) -> None:
        for listener in self._listeners:
            listener.epoch(epoch)

    def note(self, text: str) -> None:
        for listener in self._listeners:
            listener.note(text)
